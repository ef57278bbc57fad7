"""Contrastive training of backbone and learned bridge, on sentence-transformers' trainer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..bridge import LearnedBridge
from ..counted import text_digest
from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError, MissingExtraError, TrainingError
from ..progress import Progress
from .card import write_card
from .options import TrainingOptions
from .pairs import Pair, checked_pairs, with_equal_negatives

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformerTrainer

    from .held_out import HeldOut

MARKER = "lsb_rag_run.json"
"""Written into a checkpoint once it is complete, with what the run was told."""
CHECKPOINTS = "checkpoints"
KEPT = 2
QUERY, POSITIVE, NEGATIVE = "query", "positive", "negative"


@dataclass(frozen=True)
class Trained:
    """What a training run gave.

    :param encoder: The trained encoder, as saved in `folder`.
    :param steps: Batches trained on, those before a resumption included.
    :param loss: Mean training loss of the last logged steps.
    :param history: What was measured on held-out pairs, a row an evaluation.
    """

    encoder: LexSemBridgeEncoder
    folder: Path
    steps: int
    loss: float | None
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    encoder: LexSemBridgeEncoder,
    pairs: Sequence[Pair],
    folder: str | Path,
    options: TrainingOptions | None = None,
    *,
    held_out: HeldOut | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    embedding: Progress | None = None,
) -> Trained:
    """Train an encoder's learned bridge, and its backbone unless that is frozen, and save it to `folder`.

    The loss is the paper's: in-batch negatives, and the pairs' own where they have any, cosine, temperature 0.02.
    Where the encoder has no bridge it gets one with W = 0, so training begins at the backbone itself. Checkpoints are in
    ``folder/checkpoints``; the same call with ``resume=True`` goes on from the last complete one to the same result. With
    `held_out` the checkpoint that measured best is the one saved.

    :param encoder: Wordpieces and the paper's product; it is trained in place.
    :param pairs: At least 2, see :func:`~lsb_rag.training.pairs.checked_pairs`.
    :param folder: New or empty, unless a run is resumed.
    :param progress: Called with the steps done and all steps.
    :param embedding: Called with the passages embedded and all, for a frozen backbone.
    :raises InvalidInputError: For pairs or an encoder that cannot be trained, a folder that is not empty, or a run that
        is resumed with other pairs or options.
    :raises TrainingError: When the loss is no finite number or a checkpoint cannot be written; complete checkpoints are
        kept.
    :raises MissingExtraError: When `accelerate` or `datasets` is not installed.
    """
    _check_installed()
    chosen = options or TrainingOptions()
    used = with_equal_negatives(checked_pairs(pairs), chosen.seed)
    root = Path(folder)
    told, backbone = _told(encoder, used, chosen), Path(encoder.name).name
    checkpoint = _start(root, told, resume)
    _make_trainable(encoder, chosen)
    trainer = _trainer(encoder, used, root, chosen, held_out, told, progress, embedding)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        encoder.model.eval()
        _check_finite(encoder)
        encoder.model.save_pretrained(str(root), create_model_card=False)
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        result = Trained(
            encoder,
            root,
            trainer.state.global_step,
            losses[-1] if losses else None,
            held_out.history if held_out else [],
        )
        write_card(result, used, chosen, backbone)
    except TrainingError as error:
        raise TrainingError(f"{error} {_what_is_left(root)}") from error
    except (OSError, RuntimeError) as error:  # torch and safetensors raise RuntimeErrors for a full disk
        raise TrainingError(
            f"The run stopped at step {trainer.state.global_step}: {str(error).splitlines()[0]} {_what_is_left(root)}"
        ) from error
    finally:
        encoder.model.eval()
        encoder.model[0].frozen = False
        encoder.model.requires_grad_(True)
        _drop_incomplete(root)
    vars(encoder).pop("fingerprint", None)  # the weights are others now
    encoder.name = str(root.resolve())
    return result


# -- before ---------------------------------------------------------------------------------------------------------


def _check_installed() -> None:
    from sentence_transformers.util import is_training_available

    if not is_training_available():
        raise MissingExtraError("Training needs accelerate and datasets. Install them: `pip install 'lsb-rag[train]'`.")


def _told(encoder: LexSemBridgeEncoder, pairs: Sequence[Pair], options: TrainingOptions) -> dict[str, Any]:
    """By which a resumed run is known to be the same."""
    digest = text_digest(json.dumps([asdict(pair) for pair in pairs])).hex()
    module = encoder.modulation
    return {**asdict(options), "pairs": digest, "paradigm": module.paradigm, "vocabulary": module.vocabulary_size}


def _start(root: Path, told: dict[str, Any], resume: bool) -> Path | None:
    """The checkpoint to go on from; None for a new run."""
    _drop_incomplete(root)
    complete = complete_checkpoints(root)
    if not resume:
        if root.exists() and any(root.iterdir()):
            advice = "resume=True (--resume) goes on with the run in it" if complete else "give a new folder"
            raise InvalidInputError(f"{root} is not empty; {advice}. Nothing was changed.")
        return None
    if not complete:
        return None
    before = json.loads((complete[-1] / MARKER).read_text(encoding="utf-8"))
    differing = sorted(key for key in told if before.get(key) != told[key])
    if differing:
        raise InvalidInputError(
            f"The run in {root} was started with other {', '.join(differing)}; resume it with the same, or start a new "
            "one in another folder."
        )
    return complete[-1]


def complete_checkpoints(root: Path) -> list[Path]:
    """The checkpoints of a run that were written to their end, oldest first."""
    found = [file.parent for file in (root / CHECKPOINTS).glob(f"checkpoint-*/{MARKER}")]
    return sorted(found, key=lambda checkpoint: int(checkpoint.name.rsplit("-", 1)[1]))


def _drop_incomplete(root: Path) -> None:
    for checkpoint in (root / CHECKPOINTS).glob("checkpoint-*"):
        if not (checkpoint / MARKER).is_file():
            shutil.rmtree(checkpoint, ignore_errors=True)


def _what_is_left(root: Path) -> str:
    complete = complete_checkpoints(root)
    if not complete:
        return "There is no checkpoint yet."
    return f"The last good checkpoint is {complete[-1]}; resume=True (--resume) goes on from it."


def _make_trainable(encoder: LexSemBridgeEncoder, options: TrainingOptions) -> None:
    module = encoder.modulation
    if options.bridge:
        if encoder.units != "wordpieces" or encoder.fusion != "product":
            raise InvalidInputError(
                "A learned bridge is trained over wordpieces, in the paper's product: "
                "LexSemBridgeEncoder(NAME, units='wordpieces', fusion='product')."
            )
        if encoder.bridge is None:
            encoder.bridge = LearnedBridge(module.vocabulary_size, encoder.dimension)
        if not isinstance(encoder.bridge, LearnedBridge):
            raise InvalidInputError("The encoder has a corpus-fitted bridge, which has nothing to train; leave it out.")
    elif encoder.bridge is not None:
        raise InvalidInputError("To train the backbone alone, give an encoder without a bridge.")
    encoder.model.requires_grad_(not options.freeze)
    module.requires_grad_(options.bridge)
    if module.paradigm == "clr" and options.freeze and hasattr(head := module.weighting.head, "tie"):
        head.requires_grad_(True)
    encoder.model[0].frozen = options.freeze


def _check_finite(encoder: LexSemBridgeEncoder) -> None:
    if not all(torch.isfinite(value).all() for value in encoder.model.parameters()):
        raise TrainingError("The weights are no longer finite numbers; train with a lower learning rate.")


# -- the trainer ----------------------------------------------------------------------------------------------------


def _trainer(
    encoder: LexSemBridgeEncoder,
    pairs: Sequence[Pair],
    root: Path,
    options: TrainingOptions,
    held_out: HeldOut | None,
    told: dict[str, Any],
    progress: Progress | None,
    embedding: Progress | None,
) -> SentenceTransformerTrainer:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
    from transformers import PrinterCallback

    from .loss import ContrastiveLoss, EmbeddedPassages

    class Trainer(SentenceTransformerTrainer):
        """Without sentence-transformers' model card, which asks the hub, and without pickled arguments."""

        def add_model_card_callback(self, *_: Any) -> None:
            pass

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            del state_dict
            _check_finite(encoder)
            encoder.model.save_pretrained(str(output_dir), create_model_card=False)

    columns: dict[str, list[str]] = {
        QUERY: [pair.query for pair in pairs],
        POSITIVE: [pair.positive for pair in pairs],
    }
    for number in range(len(pairs[0].negatives)):
        columns[f"{NEGATIVE}_{number + 1}"] = [pair.negatives[number] for pair in pairs]
    model = encoder.model
    passages = [name for name in columns if name != QUERY]
    collator = SentenceTransformerDataCollator(
        preprocess_fn=model.preprocess,
        router_mapping={QUERY: "query", **dict.fromkeys(passages, "document")},
        prompts={QUERY: model.prompts.get("query") or "", **dict.fromkeys(passages, model.prompts.get("document") or "")},
        max_length={"query": options.query_length, "document": options.passage_length},
    )
    if options.freeze:
        texts = list(dict.fromkeys(text for name in passages for text in columns[name]))
        if held_out is not None:
            texts = list(dict.fromkeys([*texts, *held_out.passages]))
        vectors = _embedded(encoder, texts, embedding)
        collator = EmbeddedPassages.of(collator, texts, vectors)
        if held_out is not None:
            held_out.vectors = vectors[[collator.rows[text] for text in held_out.passages]]
    steps = {"eval_strategy": "steps", "eval_steps": options.save_steps} if held_out is not None else {}
    best = {"load_best_model_at_end": True, "metric_for_best_model": f"eval_{held_out.primary_metric}"} if held_out else {}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(root / CHECKPOINTS),
        num_train_epochs=options.epochs,
        max_steps=options.max_steps or -1,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        learning_rate_mapping={r"\.(learned|weighting)\.": options.bridge_learning_rate},
        warmup_steps=options.warmup,
        seed=options.seed,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        save_strategy="steps",
        save_steps=options.save_steps,
        save_total_limit=KEPT,
        logging_steps=min(options.save_steps, 10),
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=model.device.type == "cpu",
        **steps,
        **best,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(columns),
        loss=ContrastiveLoss(model, options.temperature),
        evaluator=held_out,
        data_collator=collator,
        callbacks=[_reporter(progress, told)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _embedded(encoder: LexSemBridgeEncoder, texts: Sequence[str], progress: Progress | None, size: int = 256) -> Tensor:
    parts = []
    for start in range(0, len(texts), size):
        parts.append(torch.from_numpy(encoder.encode_document(texts[start : start + size])))
        if progress:
            progress(min(start + size, len(texts)), len(texts))
    return torch.cat(parts)


def _reporter(progress: Progress | None, told: dict[str, Any]) -> Any:
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        """Tells how far it is, and marks a checkpoint once it is complete."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress:
                progress(state.global_step, state.max_steps)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (folder / MARKER).write_text(json.dumps(told), encoding="utf-8")

    return Reporter()


