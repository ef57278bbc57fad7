"""Model card of a trained encoder: how to load it, how it was trained, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from .options import TrainingOptions
from .pairs import Pair

if TYPE_CHECKING:
    from .run import Trained

CARD = "README.md"
FRONT = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, lexsembridge, dense-retrieval, lsb-rag]
---
"""


def write_card(trained: Trained, pairs: Sequence[Pair], options: TrainingOptions, backbone: str, folder: Path) -> None:
    """Write ``README.md`` beside the weights in `folder`. It holds no training data and no path of this machine.

    :param backbone: Name of the encoder before it was trained.
    """
    module, part = trained.encoder.modulation, _trained_part(options)
    lines = [
        FRONT,
        f"# {trained.folder.name}",
        "",
        f"An encoder for dense retrieval, trained by lsb-rag {__version__}: the {part} of {backbone}, with the",
        "contrastive loss of LexSemBridge (arXiv 2508.17858). Queries are modulated, passages are the backbone's.",
        "",
        "```python",
        "from lsb_rag import LexSemBridgeEncoder",
        "",
        f'encoder = LexSemBridgeEncoder.load("{trained.folder.name}")',
        'query = encoder.encode_query("what does E-4012 mean")  # strength=0 leaves the bridge out',
        "passages = encoder.encode_document(texts)",
        "```",
        "",
        f"Weights: `{module.paradigm}` over wordpieces; fusion: `{module.fusion}`.",
        "" if options.freeze else "The backbone is another than before: passages have to be embedded anew.",
        "",
        "## Training",
        "",
        f"{len(pairs)} pairs, {len(pairs[0].negatives)} negatives each beside the batch's; {trained.steps} steps.",
        "",
        *(f"- {name}: {value}" for name, value in asdict(options).items()),
        "",
        *_measurements(trained),
    ]
    (folder / CARD).write_text("\n".join(lines), encoding="utf-8")


def _trained_part(options: TrainingOptions) -> str:
    if not options.bridge:
        return "backbone"
    return "bridge" if options.freeze else "backbone and bridge"


def _measurements(trained: Trained) -> list[str]:
    best, history = trained.best, trained.history
    if not best:
        return ["Nothing was held out to measure it on."]
    names = [name for name in best if f"{name}_without_bridge" in best]
    return [
        "## Held-out pairs",
        "",
        f"Measured while training; the best of {len(history)} checkpoints is saved, which flatters it a little.",
        "",
        "| measure | with the bridge | without it |",
        "|---|---|---|",
        *(f"| {name.replace('_', ' ')} | {best[name]:.3f} | {best[f'{name}_without_bridge']:.3f} |" for name in names),
        "",
    ]
