"""Contrastive training of backbone and learned bridge with sentence-transformers' trainer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from torch import nn

from ..bridge.learned import LearnedBridge
from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError, MissingExtraError, TrainingError
from ..utils.arguments import checked
from ..utils.digests import text_digest
from ..utils.logging import quiet_transformers
from ..utils.progress import Progress
from .card import write_card
from .options import TrainingOptions
from .pairs import Pair, checked_pairs, with_equal_negatives
from .run import Trained, drop_incomplete, publish, resume_hint, staging, start_or_resume

if TYPE_CHECKING:
    from .evaluator import HeldOut


@checked
def train(
    encoder: LexSemBridgeEncoder,
    pairs: Sequence[Pair],
    folder: str | Path,
    options: TrainingOptions | None = None,
    *,
    held_out: HeldOut | None = None,
    progress: Progress | None = None,
    embedding: Progress | None = None,
) -> Trained:
    """Train an encoder's learned bridge, and its backbone unless that is frozen, and save it to `folder`.

    The loss is the paper's: cosine at temperature 0.02, over in-batch negatives and the pairs' own. An encoder without
    a bridge gets one with W = 0, so training begins at the backbone itself.

    Checkpoints are in ``folder/checkpoints``. After an interruption the same call continues from the last complete one,
    to the same result. With `held_out`, the checkpoint that measured best is the one saved.

    :param encoder: An encoder over wordpieces with the paper's product. It is trained in place.
    :param pairs: At least 2 different pairs, none with a blank text or its own passage among its negatives.
    :param folder: A new or empty folder, or that of an interrupted run.
    :param held_out: Pairs to measure checkpoints on.
    :param progress: Called with the number of steps done and the total.
    :param embedding: For a frozen backbone, called with the number of passages embedded and the total.
    :raises InvalidInputError: For pairs or an encoder that cannot be trained, a folder with other contents, or that of
        an interrupted run with other pairs, options or another backbone.
    :raises TrainingError: When the loss is not finite or a checkpoint cannot be written. Complete checkpoints are kept.
    :raises MissingExtraError: When `accelerate` or `datasets` is not installed.
    """
    _check_installed()
    chosen = options or TrainingOptions()
    used = with_equal_negatives(checked_pairs(pairs), chosen.seed)
    root = Path(folder)
    identity = _run_identity(encoder, used, chosen, held_out)
    backbone = Path(encoder.name).name
    _check_trainable(encoder, chosen)
    checkpoint = start_or_resume(root, identity)
    from .trainer import check_finite, make_trainer

    reached = 0

    def reach(done: int, total: int) -> None:
        nonlocal reached
        reached = done
        if progress:
            progress(done, total)

    try:
        _make_trainable(encoder, chosen)
        trainer = make_trainer(
            encoder, used, root, chosen, held_out=held_out, identity=identity, progress=reach, embedding=embedding
        )
        with quiet_transformers():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            encoder.model.eval()
            check_finite(encoder)
            encoder.model.save_pretrained(str(staging(root)), create_model_card=False)
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        result = Trained(
            encoder=encoder,
            folder=root,
            steps=trainer.state.global_step,
            loss=losses[-1],
            history=_history(trainer.state.log_history),
        )
        write_card(result, used, chosen, backbone, staging(root))
        publish(root)
    except TrainingError as error:
        raise TrainingError(f"{error} {resume_hint(root)}") from error
    except (OSError, RuntimeError, SafetensorError) as error:  # a full disk can raise any of them
        raise TrainingError(
            f"The run stopped at step {reached}: {(str(error) or repr(error)).splitlines()[0]} {resume_hint(root)}"
        ) from error
    finally:
        encoder.model.eval()
        encoder.transformer.frozen = False
        if held_out is not None:
            held_out.vectors = None  # they belong to this backbone
        encoder.model.requires_grad_(True)
        drop_incomplete(root)
    encoder.retrained(str(root.resolve()))
    return result


def _check_installed() -> None:
    from sentence_transformers.util import is_training_available

    if not is_training_available():
        raise MissingExtraError("Training needs accelerate and datasets. Install them: `pip install 'lsb-rag[train]'`.")


def _run_identity(
    encoder: LexSemBridgeEncoder, pairs: Sequence[Pair], options: TrainingOptions, held_out: HeldOut | None
) -> dict[str, Any]:
    """Return everything that a resumed run must have in common with the interrupted one."""
    measured: Any = held_out
    if held_out is not None:
        by_kind = {kind: [asdict(pair) for pair in of_kind] for kind, of_kind in held_out.pairs.items()}
        measured = [by_kind, held_out.passages]
    module = encoder.modulation
    tokenizer = encoder.tokenizer.to_str() if encoder.tokenizer else ""
    return {
        **asdict(options),
        "pairs": text_digest(json.dumps([asdict(pair) for pair in pairs])).hex(),
        "held_out": text_digest(json.dumps(measured)).hex(),
        "modulation": module.get_config_dict(),
        "start": _state_digest(module),
        "backbone": {name: value for name, value in encoder.fingerprint.as_dict().items() if name != "backbone"},
        "tokenizer": text_digest(tokenizer).hex(),
    }


def _state_digest(module: nn.Module) -> str:
    """Return a digest of the weights that a module starts with."""
    values = (value.detach().cpu().contiguous().numpy().tobytes() for value in module.state_dict().values())
    return hashlib.sha256(b"".join(values)).hexdigest()


def _history(log: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the evaluations in a trainer's log, including those before a resumption."""
    history = []
    for row in log:
        measures = {name.removeprefix("eval_"): value for name, value in row.items() if "@" in name}
        if measures:
            history.append({"step": row["step"], **measures})
    return history


def _check_trainable(encoder: LexSemBridgeEncoder, options: TrainingOptions) -> None:
    if not options.bridge:
        if encoder.bridge is not None:
            raise InvalidInputError("To train the backbone alone, give an encoder without a bridge.")
        return
    if encoder.units != "wordpieces" or encoder.fusion != "product":
        raise InvalidInputError(
            "A learned bridge is trained over wordpieces, in the paper's product: "
            "LexSemBridgeEncoder(NAME, units='wordpieces', fusion='product')."
        )
    if encoder.strength == 0:
        raise InvalidInputError("At strength 0 the bridge is not used, so there is nothing to train.")


def _make_trainable(encoder: LexSemBridgeEncoder, options: TrainingOptions) -> None:
    module = encoder.modulation
    if options.bridge and encoder.bridge is None:
        encoder.bridge = LearnedBridge(module.vocabulary_size, encoder.dimension)
    encoder.model.requires_grad_(not options.freeze)
    module.requires_grad_(options.bridge)
    encoder.transformer.frozen = options.freeze
