"""Loading checkpoints of the authors of LexSemBridge (arXiv 2508.17858).

Their training code wraps a backbone (``model.*``) with the linear layer W (``linearlayer.*``), for LLR u and b
(``sparse_linear.*``) and for SLR the weight (``scale``). What they have published is the backbone alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..bridge.base import Paradigm
from ..bridge.learned import LearnedBridge
from ..bridge.weighting import Learned, Statistical
from ..errors import BackboneError, CorruptFileError, InvalidInputError, LsbRagError
from ..utils.logging import quiet_transformers
from .pipeline import make_pipeline
from .saved_model import PICKLED

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

    from ..modules import LexicalTransformer, QueryModulation

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")


def load_checkpoint(folder: str | Path, *, pooling: str = "cls", device: str | None = None) -> SentenceTransformer:
    """Load the pipeline from a full state dict in the authors' layout, see :func:`lsb_rag.load_authors_checkpoint`."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if pooling not in ("cls", "mean"):
        raise InvalidInputError(f"pooling is cls or mean, not {pooling!r}.")
    root = Path(folder)
    weights = root / "model.safetensors"
    if not weights.is_file():
        pickled = [file.name for file in root.glob("*") if file.suffix in PICKLED]
        advice = f"{pickled[0]} is a pickle, which can run code; save its tensors as safetensors." if pickled else ""
        raise BackboneError(f"There is no model.safetensors in {root}. {advice}".strip())
    try:
        state = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise CorruptFileError(f"{weights} is damaged: {error}") from error
    if not any((root / name).is_file() for name in TOKENIZER_FILES):
        raise CorruptFileError(f"There is no tokenizer in {root}; copy the backbone's ({', '.join(TOKENIZER_FILES)}).")
    if "linearlayer.weight" not in state:
        raise CorruptFileError(f"{weights} has no linearlayer.weight: it is no full checkpoint; load it as a backbone.")
    paradigm = _paradigm_of(state)
    backbone = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
    try:
        pipeline = _make_pipeline(root, backbone, paradigm=paradigm, pooling=pooling, device=device)
        weight = state["linearlayer.weight"].T.contiguous()
        bias = state.get("linearlayer.bias")
        bridge = LearnedBridge(weight.shape[0], weight.shape[1], bias=bias is not None)
        with torch.no_grad():
            bridge.weight.copy_(weight)
            if bias is not None and bridge.bias is not None:
                bridge.bias.copy_(bias)
            modulation = cast("QueryModulation", pipeline[-1])
            weighting = modulation.weighting
            if isinstance(weighting, Learned):
                weighting.linear.weight.copy_(state["sparse_linear.weight"])
                weighting.linear.bias.copy_(state["sparse_linear.bias"])
            elif isinstance(weighting, Statistical):
                weighting.scale.copy_(state["scale"].reshape(()))
    except (KeyError, RuntimeError, OSError, ValueError, IndexError) as error:
        if isinstance(error, LsbRagError):
            raise
        raise CorruptFileError(f"{weights} is no complete checkpoint of {paradigm.upper()}: {error}") from error
    modulation.set_bridge(bridge)
    cast("LexicalTransformer", pipeline[0]).with_offsets = modulation.needs_offsets
    return pipeline


def _paradigm_of(state: Mapping[str, Tensor]) -> Paradigm:
    if "sparse_linear.weight" in state:
        return "llr"
    return "slr" if "scale" in state else "clr"


def _make_pipeline(
    root: Path, state: dict[str, Tensor], *, paradigm: Paradigm, pooling: str, device: str | None
) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer

    config = AutoConfig.from_pretrained(root, trust_remote_code=False)
    model_class: Any = AutoModelForMaskedLM if paradigm == "clr" else AutoModel
    model = model_class.from_config(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    # Tied weights and position ids are not saved; a pooler is not used.
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    optional = ("position_ids", "pooler")
    wrong = [key for key in (*missing, *unexpected) if key not in tied and not any(part in key for part in optional)]
    if wrong:
        raise KeyError(f"unexpected or missing: {', '.join(wrong[:3])}")
    model.tie_weights()
    with tempfile.TemporaryDirectory() as temporary:
        with quiet_transformers():
            model.save_pretrained(temporary)
            AutoTokenizer.from_pretrained(root, trust_remote_code=False).save_pretrained(temporary)
            transformer = Transformer(temporary)
        plain = SentenceTransformer(
            modules=[transformer, Pooling(transformer.get_embedding_dimension(), pooling)], device=device
        )
        return make_pipeline(plain, paradigm=paradigm, fusion="product", units="wordpieces")
