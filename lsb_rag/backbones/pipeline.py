"""The encoder's pipeline as a SentenceTransformer: made around a backbone, or loaded from a folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.util import import_from_string

from ..bridge.base import Fusion, Paradigm
from ..bridge.weighting import Contextual, MlmHead, TiedHead
from ..errors import BackboneError, CorruptFileError, InvalidInputError, LsbRagError
from ..lexical.analyzer import UnitKind
from ..modules import LexicalTransformer, QueryModulation
from ..utils.logging import quiet_transformers
from ..utils.secrets import redacted, without_secrets
from .saved_model import CONFIG, MODULES, SavedModel

logger = logging.getLogger(__name__)


def make_pipeline(
    backbone: SentenceTransformer,
    *,
    paradigm: Paradigm = "slr",
    fusion: Fusion = "residual",
    strength: float | None = None,
    units: UnitKind = "words",
    top_k: int | None = None,
) -> SentenceTransformer:
    """Return `backbone` with the modulation behind it: Transformer, pooling, normalisation, modulation.

    The weights are shared with `backbone`, which itself stays unchanged. A modulation that it has is replaced.

    :raises InvalidInputError: When the backbone does not begin with a Transformer, or has no fast tokenizer.
    """
    if not isinstance(backbone[0], Transformer):
        raise InvalidInputError(
            f"The backbone begins with {type(backbone[0]).__name__}; the modulation needs a Transformer with tokens."
        )
    if not getattr(backbone.tokenizer, "is_fast", False):
        raise InvalidInputError("The backbone's tokenizer is not a fast one; convert it with the tokenizers library.")
    if backbone.truncate_dim is not None:
        raise InvalidInputError(
            "The backbone truncates its vectors (truncate_dim), which the modulation does not know."
        )
    embeddings = backbone[0].auto_model.get_input_embeddings()
    hidden_size = int(backbone[0].get_embedding_dimension())
    modulation = QueryModulation(
        dimension=int(backbone.get_embedding_dimension() or 0),
        vocabulary_size=embeddings.num_embeddings,
        hidden_size=hidden_size,
        paradigm=paradigm,
        fusion=fusion,
        strength=strength,
        units=units,
        top_k=top_k,
    )
    earlier = backbone[-1]
    if isinstance(earlier, QueryModulation) and earlier.paradigm == paradigm:
        # What was learned or loaded for the same paradigm is kept.
        if isinstance(earlier.weighting, Contextual):
            modulation.attach_head(earlier.weighting.head)
        else:
            modulation.weighting = earlier.weighting
    elif paradigm == "clr":
        masked_lm = mlm_model(backbone[0].auto_model.name_or_path)
        if masked_lm is None:
            logger.warning(
                "The backbone has no MLM head; CLR gets a small one tied to its token embeddings, whose weights mean "
                "little until it is trained."
            )
        modulation.attach_head(
            MlmHead(masked_lm)
            if masked_lm
            else TiedHead(hidden_size, embeddings.num_embeddings, embeddings.embedding_dim)
        )
    middle = [module for module in list(backbone)[1:] if not isinstance(module, QueryModulation)]
    if not middle or not isinstance(middle[-1], Normalize):
        middle.append(Normalize())
    return SentenceTransformer(
        modules=[LexicalTransformer.wrapping(backbone[0]), *middle, modulation],
        prompts={name: prompt or "" for name, prompt in backbone.prompts.items()},
        default_prompt_name=backbone.default_prompt_name,
        similarity_fn_name="cosine",
        device=str(backbone.device),
    ).eval()


def mlm_model(name: str) -> Any | None:
    """Load the masked language model of a checkpoint, or return None where the checkpoint has no such head.

    :raises BackboneError: When the checkpoint cannot be read.
    """
    from transformers import AutoModelForMaskedLM

    try:
        with quiet_transformers():
            model, info = AutoModelForMaskedLM.from_pretrained(
                name, output_loading_info=True, use_safetensors=True, trust_remote_code=False
            )
    except ValueError:  # no architecture for masked language modelling
        return None
    except OSError as error:
        why = (redacted(error).splitlines() or [type(error).__name__])[0]
        raise BackboneError(f"Cannot look for an MLM head in {name!r}: {why}") from without_secrets(error)
    prefix = f"{model.base_model_prefix}."
    has_head = all(key.startswith(prefix) for key in info["missing_keys"])
    return model if has_head else None


def load_pipeline(path: Path, *, device: str | None = None) -> SentenceTransformer:
    """Load a pipeline from a folder that ``save_pretrained`` wrote.

    Only module types of sentence-transformers and of this library are loaded, so no foreign code runs, and only
    weights in safetensors, so nothing is unpickled.

    :raises BackboneError: When there is no such folder, a module is of another type, or weights are of another format.
    :raises CorruptFileError: When a file in it is damaged.
    """
    if not (path / MODULES).is_file():
        raise BackboneError(f"There is no saved encoder in {path}: it holds no {MODULES}.")
    entries = SavedModel(str(path)).check()
    try:
        entries = sorted(entries, key=lambda entry: int(entry["idx"]))
        file = path / CONFIG
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        with quiet_transformers():
            kinds: list[Any] = [import_from_string(entry["type"]) for entry in entries]
            modules = [
                kind.load(
                    str(path), subfolder=entry["path"], local_files_only=True, model_kwargs={"use_safetensors": True}
                )
                for kind, entry in zip(kinds, entries, strict=True)
            ]
        if not isinstance(modules[-1], QueryModulation):
            raise BackboneError(f"{path} is a plain encoder without a modulation; give it as the backbone instead.")
        return SentenceTransformer(
            modules=modules,
            prompts=config.get("prompts"),
            default_prompt_name=config.get("default_prompt_name"),
            similarity_fn_name="cosine",
            device=device,
        ).eval()
    except LsbRagError:
        raise
    except Exception as error:
        raise CorruptFileError(f"The encoder in {path} is damaged or incomplete: {error}") from error
