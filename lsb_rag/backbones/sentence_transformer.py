"""Any sentence-transformers model as a backbone: loading and identifying it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import BackboneError, LsbRagError
from ..utils.extras import require_local
from ..utils.logging import quiet_transformers
from ..utils.secrets import redacted, without_secrets
from .base import DEFAULT_BACKBONE, Fingerprint, Matrix
from .embedded import embedded_backbone, is_embedded
from .passages import PassageEncoding
from .precision import Computation
from .queries import QueryEncoding, prompt_for
from .saved_model import SavedModel
from .spread import UNRELATED, spread_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

PLAIN_RELEASE = "LexSemBridge_"
"""Prefix of the authors' published checkpoints, such as ``Jasaxion/LexSemBridge_CLR_snowflake``."""

logger = logging.getLogger(__name__)
_warned: set[str] = set()
"""Names of plain releases that were warned about."""


def load_backbone(
    name: str | Path = DEFAULT_BACKBONE,
    *,
    device: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> SentenceTransformer:
    """Load a sentence-transformers model by path or hub name; the default comes from an installed package.

    :raises MissingExtraError: When the extra ``local``, or the default backbone's package, is not installed.
    :raises BackboneError: When the model cannot be found, reached or read, or its weights are not safetensors.
    :raises CorruptFileError: When a file of it that names its modules or prompts is damaged.
    """
    local = embedded_backbone() if is_embedded(name, revision) else Path(name)
    require_local(f"The model {name}, computed here,")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import ORIGINAL_TRANSFORMER_MODELS

    if Path(name).name.startswith(PLAIN_RELEASE) and str(name) not in _warned:
        _warned.add(str(name))
        logger.warning(
            "%s is published as a plain encoder: the modulation acted in its training only, and its bridge was not "
            "saved. It is used as a backbone; a Retriever adds the bridge fitted on its collection.",
            name,
        )
    is_local = local.is_dir()
    model = str(local if is_local else name)
    if not is_local and "/" not in model and model.lower() not in ORIGINAL_TRANSFORMER_MODELS:
        model = f"sentence-transformers/{model}"
    try:
        with quiet_transformers():
            SavedModel(model, revision).check(trust_remote_code=trust_remote_code)
            return SentenceTransformer(
                model,
                device=device,
                revision=revision,
                trust_remote_code=trust_remote_code,
                local_files_only=is_local,
                # Weights come from safetensors alone: a pickle can run code.
                model_kwargs={"use_safetensors": True},
            )
    except LsbRagError:
        raise
    except Exception as error:
        where = "folder" if is_local else "hub model"
        advice = (
            "Check that it is a complete sentence-transformers folder with safetensors weights."
            if is_local
            else "Without access to the hub, give the path of a downloaded model, or leave the backbone out to use "
            f"the embedded {DEFAULT_BACKBONE}."
        )
        why = (redacted(error).splitlines() or [type(error).__name__])[0]
        raise BackboneError(f"Cannot load the {where} {str(name)!r}: {why} {advice}") from without_secrets(error)


class SentenceTransformerBackbone:
    """A sentence-transformers model as a :class:`~lsb_rag.backbones.base.Backbone`.

    :param model: The pipeline, see :mod:`lsb_rag.backbones.pipeline`; its modulation is not used here.
    :param name: Path or hub name the model is loaded by.
    :param precision: Precision that passages are embedded in, see
        :func:`~lsb_rag.backbones.precision.computation_for`.
    """

    def __init__(self, model: SentenceTransformer, name: str, precision: str) -> None:
        self.model = model
        self.name = name
        self.dimension = int(model.get_embedding_dimension() or 0)
        self.passages = PassageEncoding(model, precision)
        self.queries = QueryEncoding(model)

    @property
    def max_length(self) -> int:
        """Longest input in tokens, 0 without a limit."""
        return int(self.model.max_seq_length or 0)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Identity of the backbone, with its weights as they are on first use."""
        return fingerprint(self.model, self.name)

    @cached_property
    def spread(self) -> float:
        """How far apart the vectors of unrelated texts lie, see :func:`~lsb_rag.backbones.spread.spread_of`."""
        return 1.0 if is_embedded(self.name) else spread_of(self.embed_passages(UNRELATED))

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The fast tokenizer, or None."""
        return cast("Tokenizer | None", getattr(self.model.tokenizer, "backend_tokenizer", None))

    @property
    def computation(self) -> Computation:
        """The precision and the engine that passages are embedded with."""
        return self.passages.computation

    def embed_passages(
        self, texts: Sequence[str], *, batch_size: int | None = None, show_progress_bar: bool = False
    ) -> Matrix:
        """See :class:`~lsb_rag.backbones.base.Backbone`."""
        return self.passages(texts, batch_size, show_progress_bar)

    def embed_queries(self, texts: Sequence[str], *, batch_size: int = 32, show_progress_bar: bool = False) -> Matrix:
        """See :class:`~lsb_rag.backbones.base.Backbone`."""
        return self.queries(
            texts, bridge=None, strength=0.0, batch_size=batch_size, show_progress_bar=show_progress_bar
        )

    def retrained(self, name: str) -> None:
        """Take the name that the retrained weights are saved by; the fingerprint is computed anew."""
        self.name = name
        for cached in ("fingerprint", "spread"):
            vars(self).pop(cached, None)

    def forget(self) -> None:
        """Forget cached queries."""
        self.queries.forget()


def fingerprint(model: SentenceTransformer, name: str) -> Fingerprint:
    """Return the fingerprint of a loaded backbone."""
    import torch

    digest = hashlib.sha256()
    # The modulation behind the backbone is left out, as it does not touch passages.
    modules = {name: module for name, module in model.named_children() if type(module).__name__ != "QueryModulation"}
    state = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    # A pooler does not reach the vectors, and transformers makes a random one where a checkpoint has none.
    for key in sorted(key for key in state if ".pooler." not in key):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    pooling = next((module.pooling_mode for module in modules.values() if hasattr(module, "pooling_mode")), "none")
    return Fingerprint(
        backbone=name,
        weights=digest.hexdigest(),
        dimension=int(model.get_embedding_dimension() or 0),
        pooling=str(pooling),
        max_length=int(model.max_seq_length or 0),
        precision=str(next(model.parameters()).dtype).removeprefix("torch."),
        prompt=prompt_for(model, "document", "passage", "corpus"),
    )
