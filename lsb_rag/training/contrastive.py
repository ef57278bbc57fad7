"""Contrastive training of backbone and learned bridge, on sentence-transformers' trainer."""

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
from ..utils.digests import text_digest
from ..utils.logging import quiet_transformers
from ..utils.progress import Progress
from .card import write_card
from .options import TrainingOptions
from .pairs import Pair, checked_pairs, with_equal_negatives
from .run import Trained, drop_incomplete, publish, staging, start_or_resume, what_is_left

if TYPE_CHECKING:
    from .evaluator import HeldOut


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

    The loss is the paper's: in-batch negatives, and the pairs' own where they have any, cosine, temperature 0.02.
    Where the encoder has no bridge it gets one with W = 0, so training begins at the backbone itself. Checkpoints are
    in ``folder/checkpoints``; after an interruption the same call goes on from the last complete one to the same
    result. With `held_out` the checkpoint that measured best is the one saved.

    :param encoder: Wordpieces and the paper's product; it is trained in place.
    :param pairs: At least 2 different ones, none with a blank text or its own passage among its negatives.
    :param folder: New or empty, or that of an interrupted run.
    :param progress: Called with the steps done and all steps.
    :param embedding: Called with the passages embedded and all, for a frozen backbone.
    :raises InvalidInputError: For pairs or an encoder that cannot be trained, a folder with something else in it, or an
        interrupted run of other pairs, options or another backbone.
    :raises TrainingError: When the loss is no finite number or a checkpoint cannot be written; complete checkpoints are
        kept.
    :raises MissingExtraError: When `accelerate` or `datasets` is not installed.
    """
    _check_installed()
    chosen = options or TrainingOptions()
    used = with_equal_negatives(checked_pairs(pairs), chosen.seed)
    root = Path(folder)
    told, backbone = _told(encoder, used, chosen, held_out), Path(encoder.name).name
    _check_trainable(encoder, chosen)
    checkpoint = start_or_resume(root, told)
    from .trainer import check_finite, make_trainer

    reached = 0

    def reach(done: int, total: int) -> None:
        nonlocal reached
        reached = done
        if progress:
            progress(done, total)

    try:
        _make_trainable(encoder, chosen)
        trainer = make_trainer(encoder, used, root, chosen, held_out, told, reach, embedding)
        with quiet_transformers():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            encoder.model.eval()
            check_finite(encoder)
            encoder.model.save_pretrained(str(staging(root)), create_model_card=False)
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        result = Trained(
            encoder,
            root,
            trainer.state.global_step,
            losses[-1],
            _history(trainer.state.log_history),
        )
        write_card(result, used, chosen, backbone, staging(root))
        publish(root)
    except TrainingError as error:
        raise TrainingError(f"{error} {what_is_left(root)}") from error
    except (OSError, RuntimeError, SafetensorError) as error:  # a full disk may be any of them
        raise TrainingError(
            f"The run stopped at step {reached}: {(str(error) or repr(error)).splitlines()[0]} {what_is_left(root)}"
        ) from error
    finally:
        encoder.model.eval()
        encoder.transformer.frozen = False
        if held_out is not None:
            held_out.vectors = None  # they are this backbone's
        encoder.model.requires_grad_(True)
        drop_incomplete(root)
    encoder.backbone.retrained(str(root.resolve()))
    return result


# -- before ---------------------------------------------------------------------------------------------------------


def _check_installed() -> None:
    from sentence_transformers.util import is_training_available

    if not is_training_available():
        raise MissingExtraError("Training needs accelerate and datasets. Install them: `pip install 'lsb-rag[train]'`.")


def _told(
    encoder: LexSemBridgeEncoder, pairs: Sequence[Pair], options: TrainingOptions, held_out: HeldOut | None
) -> dict[str, Any]:
    """By which a resumed run is known to be the same."""
    measured = held_out and [{kind: list(map(asdict, p)) for kind, p in held_out.pairs.items()}, held_out.passages]
    module = encoder.modulation
    tokenizer = encoder.tokenizer.to_str() if encoder.tokenizer else ""
    return {
        **asdict(options),
        "pairs": text_digest(json.dumps([asdict(pair) for pair in pairs])).hex(),
        "held_out": text_digest(json.dumps(measured)).hex(),
        "modulation": module.get_config_dict(),
        "start": _digest(module),
        "backbone": {name: value for name, value in asdict(encoder.fingerprint).items() if name != "backbone"},
        "tokenizer": text_digest(tokenizer).hex(),
    }


def _digest(module: nn.Module) -> str:
    """Of what the modulation begins with."""
    values = (value.detach().cpu().contiguous().numpy().tobytes() for value in module.state_dict().values())
    return hashlib.sha256(b"".join(values)).hexdigest()


def _history(log: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """The evaluations in a trainer's log, those before a resumption included."""
    prefix = "eval_"
    return [
        {"step": row["step"], **{name.removeprefix(prefix): row[name] for name in row if "@" in name}}
        for row in log
        if any("@" in name for name in row)
    ]


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
