"""sentence-transformers' trainer, set up for a pipeline with a modulation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..encoder import LexSemBridgeEncoder
from ..errors import TrainingError
from ..utils.progress import Progress
from .options import TrainingOptions
from .pairs import Pair
from .passage_vectors import passage_vectors
from .run import CHECKPOINTS, mark_complete

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

    from .evaluator import HeldOut

KEPT = 2
"""Number of checkpoints kept, besides the best one."""
POSITIVE, NEGATIVE = "positive", "negative"


def make_trainer(
    encoder: LexSemBridgeEncoder,
    pairs: Sequence[Pair],
    root: Path,
    options: TrainingOptions,
    *,
    held_out: HeldOut | None,
    identity: dict[str, Any],
    progress: Progress | None,
    embedding: Progress | None,
) -> SentenceTransformerTrainer:
    """Return the trainer of one run.

    :param identity: Identity of the run, written into its checkpoints.
    :param progress: Called with the number of steps done and the total.
    :param embedding: For a frozen backbone, called with the number of passages embedded and the total.
    """
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer
    from transformers import PrinterCallback

    from .loss import LABEL, ContrastiveLoss, EmbeddedPassages

    class Trainer(SentenceTransformerTrainer):
        """A trainer without sentence-transformers' model card, which asks the hub, and without pickled arguments."""

        def add_model_card_callback(self, *_: Any) -> None:
            pass

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            del state_dict
            check_finite(encoder)
            encoder.model.save_pretrained(str(output_dir), create_model_card=False)

    queries, passages = _columns(pairs)
    labels, answers = _number_texts(pairs)
    collator = _collator(encoder, list(passages), options)
    if options.freeze:
        texts = [text for column in passages.values() for text in column]
        if held_out is not None:
            texts += held_out.passages
        texts = list(dict.fromkeys(texts))
        vectors = torch.from_numpy(passage_vectors(encoder, texts, embedding))
        collator = EmbeddedPassages.of(collator, texts, vectors)
        if held_out is not None:
            held_out.vectors = vectors[[collator.rows[text] for text in held_out.passages]]
    trainer = Trainer(
        model=encoder.model,
        args=_arguments(encoder, root, options, held_out),
        train_dataset=Dataset.from_dict({**queries, **passages, LABEL: labels}),
        loss=ContrastiveLoss(encoder.model, options.temperature, answers),
        evaluator=held_out,
        data_collator=collator,
        callbacks=[_reporter(progress, identity, measure=held_out is not None)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _columns(pairs: Sequence[Pair]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the columns of the training set: the queries, and the passages."""
    from .loss import QUERY

    queries = {QUERY: [pair.query for pair in pairs]}
    passages = {POSITIVE: [pair.positive for pair in pairs]}
    for number in range(len(pairs[0].negatives)):
        passages[f"{NEGATIVE}_{number + 1}"] = [pair.negatives[number] for pair in pairs]
    return queries, passages


def _collator(
    encoder: LexSemBridgeEncoder, passages: Sequence[str], options: TrainingOptions
) -> SentenceTransformerDataCollator:
    """Return a collator that tokenizes queries and passages, each with their own prompt and length.

    :param passages: Names of the columns of passages.
    """
    from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

    from .loss import QUERY

    model = encoder.model
    longest = int(model.max_seq_length or options.passage_length)
    return SentenceTransformerDataCollator(
        preprocess_fn=model.preprocess,
        router_mapping={QUERY: "query", **dict.fromkeys(passages, "document")},
        prompts={
            QUERY: model.prompts.get("query") or "",
            **dict.fromkeys(passages, model.prompts.get("document") or ""),
        },
        max_length={"query": min(options.query_length, longest), "document": min(options.passage_length, longest)},
    )


def _arguments(
    encoder: LexSemBridgeEncoder, root: Path, options: TrainingOptions, held_out: HeldOut | None
) -> SentenceTransformerTrainingArguments:
    """Return the trainer's arguments. With `held_out` it evaluates at every checkpoint and ends with the best."""
    from sentence_transformers import SentenceTransformerTrainingArguments

    evaluation: dict[str, Any] = {}
    if held_out is not None:
        evaluation = {
            "eval_strategy": "steps",
            "eval_steps": options.save_steps,
            "metric_for_best_model": f"eval_{held_out.primary_metric}",
            "load_best_model_at_end": True,
        }
    return SentenceTransformerTrainingArguments(
        output_dir=str(root / CHECKPOINTS),
        num_train_epochs=options.epochs,
        max_steps=options.max_steps or -1,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        learning_rate_mapping={r"\.(learned|weighting)\.": options.bridge_learning_rate},
        warmup_steps=options.warmup,
        seed=options.seed,
        save_strategy="steps",
        save_steps=options.save_steps,
        save_total_limit=KEPT,
        logging_steps=min(options.save_steps, 10),
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=encoder.model.device.type == "cpu",
        **evaluation,
    )


def _number_texts(pairs: Sequence[Pair]) -> tuple[list[list[int]], dict[int, set[int]]]:
    """Number equal queries and equal passages alike.

    :return: The numbers of each pair's query and passages, and the numbers of the passages that answer each query.
    """
    queries: dict[str, int] = {}
    passages: dict[str, int] = {}
    labels, answers = [], defaultdict(set)
    for pair in pairs:
        query = queries.setdefault(pair.query, len(queries))
        numbers = [passages.setdefault(text, len(passages)) for text in (pair.positive, *pair.negatives)]
        labels.append([query, *numbers])
        answers[query].add(numbers[0])
    return labels, answers


def _reporter(progress: Progress | None, identity: dict[str, Any], *, measure: bool) -> Any:
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        """A callback that reports progress, has the last step measured, and marks checkpoints as complete."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress:
                progress(state.global_step, state.max_steps)
            if measure and state.global_step >= state.max_steps:
                control.should_evaluate = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            mark_complete(folder, identity)

    return Reporter()


def check_finite(encoder: LexSemBridgeEncoder) -> None:
    """Check that all weights are finite.

    :raises TrainingError: When a weight is NaN or infinite.
    """
    if not all(torch.isfinite(value).all() for value in encoder.model.parameters()):
        raise TrainingError("The weights are no longer finite numbers; train with a lower learning rate.")
