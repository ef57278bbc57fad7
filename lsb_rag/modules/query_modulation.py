"""The last module of a pipeline, which modulates the embeddings of queries and leaves those of passages alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model
from sentence_transformers.base.modules import Module
from torch import Tensor, nn

from ..bridge.adaptation import Adaptation
from ..bridge.base import Bridge, Fusion, Paradigm, checked_paradigm, checked_strength
from ..bridge.corpus import CorpusBridge, adaptation_of, head_of, strength_with
from ..bridge.fusion import check_combination, directions, fuse
from ..bridge.learned import LearnedBridge
from ..bridge.modulation import check_dimension, complete
from ..bridge.weighting import (
    Contextual,
    Learned,
    PieceWeights,
    Statistical,
    TiedHead,
    head_from_config,
    named,
    pooled_to_words,
    slr,
)
from ..errors import CorruptFileError, InvalidInputError
from ..lexical.analyzer import UnitKind
from ..lexical.background_frequency import BackgroundFrequency
from ..lexical.units import words
from ..lexical.unread import UnreadShare
from ..statistics.in_memory import CorpusStatistics
from ..utils.arguments import checked
from .lexical_transformer import OFFSETS, TEXTS

STATISTICS_FILE = "statistics.safetensors"
WEIGHTS_FILE = "model.safetensors"


class QueryModulation(Module):
    """Weights, bridge and fusion after pooling; ``task="query"`` is modulated, anything else passes through.

    :param dimension: Width d of the vectors.
    :param vocabulary_size: ``|V|``, the rows of the backbone's token embeddings.
    :param hidden_size: Width of the backbone's hidden states; d unless a layer between them and the vectors changes it.
    :param paradigm: ``slr``, ``llr`` or ``clr``.
    :param fusion: ``product``, ``residual`` or ``signed_product``.
    :param strength: None takes the fusion's default.
    :param units: ``words`` or ``wordpieces``.
    :param top_k: CLR keeps the `top_k` highest weights; None keeps all.
    :raises InvalidInputError: For options that are unknown or do not go together.
    """

    config_keys: list[str] = [  # noqa: RUF012 - declared so by the base class
        "dimension",
        "vocabulary_size",
        "hidden_size",
        "paradigm",
        "fusion",
        "strength",
        "units",
        "top_k",
    ]
    forward_kwargs: set[str] = {"task", "bridge", "strength"}  # noqa: RUF012

    @checked
    def __init__(
        self,
        dimension: int,
        vocabulary_size: int,
        hidden_size: int,
        paradigm: Paradigm = "slr",
        fusion: Fusion = "residual",
        strength: float | None = None,
        units: UnitKind = "words",
        top_k: int | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        checked_paradigm(paradigm, top_k)
        self.strength = checked_strength(fusion, strength)
        self.dimension = dimension
        self.vocabulary_size = vocabulary_size
        self.hidden_size = hidden_size
        self.vocabulary: list[str] = []
        """The tokenizer's pieces by id, known once the pipeline is ready."""
        self.register_buffer("special", torch.zeros(0, dtype=torch.int64), persistent=False)
        self.unknown_id = -1
        self.background: BackgroundFrequency | None = None
        """How common words are in any text, known once the pipeline is ready; None for wordpieces."""
        self.unread = UnreadShare()
        """How much of a text the backbone cannot read, known once the pipeline is ready."""
        self.paradigm: Paradigm = paradigm
        self.fusion: Fusion = fusion
        self.units: UnitKind = units
        self.top_k = top_k
        self.special: Tensor
        self.weighting: Statistical | Learned | Contextual
        self.weighting = Learned(hidden_size) if paradigm == "llr" else Statistical()  # CLR's comes with its head
        self.learned: LearnedBridge | None = None
        self.fitted: Bridge | None = None

    # -- parts ----------------------------------------------------------------------------------------------------

    @property
    def bridge(self) -> Bridge | LearnedBridge | None:
        """The bridge in use: learned, fitted from a corpus, or none."""
        return self.learned if self.learned is not None else self.fitted

    def set_bridge(self, bridge: Bridge | LearnedBridge | None) -> None:
        """Use `bridge` from now on.

        This is a method, because torch.nn.Module intercepts the assignment to a property.

        :raises InvalidInputError: See :meth:`check`.
        """
        self.check(bridge)
        if isinstance(bridge, LearnedBridge):
            self.learned = bridge.to(next(self.parameters()).device)
            self.fitted = None
        else:
            self.learned = None
            self.fitted = bridge

    def check(self, bridge: Bridge | LearnedBridge | None) -> None:
        """Refuse a bridge that does not go with this pipeline.

        A corpus-fitted bridge without units or a background takes those of this pipeline.

        :raises InvalidInputError: For another width, another vocabulary, or options that do not go together.
        """
        check_combination(bridge, self.fusion, self.units)
        if bridge is None:
            return
        if not isinstance(bridge, LearnedBridge):
            complete(bridge, self.units, self.background)
        check_dimension(bridge.dimension, self.dimension)
        if isinstance(bridge, LearnedBridge) and len(bridge.weight) != self.vocabulary_size:
            raise InvalidInputError(
                f"The bridge has rows for {len(bridge.weight)} wordpieces, the backbone for {self.vocabulary_size}; "
                "take one that was trained with this tokenizer."
            )

    @property
    def needs_offsets(self) -> bool:
        """Whether the tokens' offsets are needed; not for words counted by SLR, which are found in the text."""
        return (self.units, self.paradigm) != ("words", "slr") or head_of(self.fitted) is not None

    def attach_head(self, head: nn.Module) -> None:
        """Give CLR its head: an ``MlmHead`` or a ``TiedHead`` of :mod:`lsb_rag.bridge.weighting`."""
        self.weighting = Contextual(head, self.top_k)

    def on_model_ready(self, model: Any) -> None:
        """Take vocabulary, special tokens and token embeddings from the backbone; sentence-transformers calls this."""
        model[0].with_offsets = self.needs_offsets
        tokenizer = model.tokenizer
        fast = getattr(tokenizer, "backend_tokenizer", None)
        self.background = BackgroundFrequency(fast) if self.units == "words" else None
        self.unread = UnreadShare(fast, tokenizer.unk_token)
        if isinstance(self.fitted, CorpusBridge):  # loaded before
            self.check(self.fitted)
        self.unknown_id = -1 if tokenizer.unk_token_id is None else int(tokenizer.unk_token_id)
        self.vocabulary = [f"[#{id}]" for id in range(self.vocabulary_size)]
        for piece, id in tokenizer.get_vocab().items():
            if id < self.vocabulary_size:
                self.vocabulary[id] = piece
        self.special = torch.tensor(sorted(tokenizer.all_special_ids), dtype=torch.int64, device=self.special.device)
        if isinstance(self.weighting, Contextual):
            self.weighting.special = self.special
            if isinstance(self.weighting.head, TiedHead):
                self.weighting.head.tie(model[0].auto_model.get_input_embeddings())

    # -- forward --------------------------------------------------------------------------------------------------

    def forward(
        self,
        features: dict[str, Any],
        *,
        task: str | None = None,
        bridge: Bridge | None = None,
        strength: float | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Modulate ``sentence_embedding``.

        :param features: As Transformer and Pooling leave them.
        :param task: ``query`` modulates; sentence-transformers passes it from ``encode_query``.
        :param bridge: Bridge for this call, in place of the pipeline's own.
        :param strength: Strength for this call, in place of the pipeline's own.
        """
        active = self.bridge if bridge is None else bridge
        chosen = strength_with(active, self.strength) if strength is None else checked_strength(self.fusion, strength)
        if task is None and TEXTS in features:
            task = "query"  # preprocessed as queries, as a loss in training does
        if task != "query" or active is None or chosen == 0:
            return features
        if bridge is not None:
            self.check(bridge)
        e = features["sentence_embedding"]
        if isinstance(active, LearnedBridge):
            v = active(self.piece_weights(features)).float()  # softmax underflows in half precision
            if self.fusion != "product":
                v = nn.functional.normalize(v, dim=-1)
            modulated = fuse(nn.functional.normalize(e.float(), dim=-1), v, self.fusion, chosen).to(e.dtype)
        else:
            # On the CPU, as not every device knows float64. Where the bridge points nowhere, e comes back bit for bit.
            v = directions(active, self.unit_weights(features, head_of(active)))
            if TEXTS in features:
                v = v * torch.from_numpy(self.unread.emphasis([text for _, text in features[TEXTS]]))[:, None]
            modulated = fuse(e.cpu().double(), v, self.fusion, chosen).to(e.device, e.dtype)
        return {**features, "sentence_embedding": modulated}

    def piece_weights(self, features: dict[str, Any]) -> PieceWeights:
        """Return the weights of the wordpieces by the paradigm."""
        return cast(
            PieceWeights, self.weighting(features["token_embeddings"], features["input_ids"], self.counted(features))
        )

    def unit_weights(self, features: dict[str, Any], head: Learned | None = None) -> list[dict[str, float]]:
        """Return the weights of the units of each query, by name; the words of a prompt are left out.

        A word has the highest weight of the wordpieces that overlap it.

        :param head: A learned weighting of words, in place of the paradigm.
        """
        if self.units == "wordpieces":
            return named(self.piece_weights(features), self.vocabulary)
        texts: list[tuple[str, str]] = features[TEXTS]
        if self.paradigm == "slr" and head is None:
            scale = float(cast(Statistical, self.weighting).scale)
            return [slr(words(text), scale) for _, text in texts]
        scores = self._position_scores(features, head).cpu()
        counted = self.counted(features, unknown=True).cpu()
        return [
            pooled_to_words(prompt, text, scores[row], counted[row], features[OFFSETS][row].cpu())
            for row, (prompt, text) in enumerate(texts)
        ]

    def _position_scores(self, features: dict[str, Any], head: Learned | None) -> Tensor:
        """Return the weight of every position of every query, shape ``[B, L]``."""
        if head is not None:
            return head.piece_scores(features["token_embeddings"].cpu())
        if not isinstance(self.weighting, Contextual):
            return self.weighting.piece_scores(features["token_embeddings"]).detach()
        pieces = self.piece_weights(features)
        dense = pieces.weights
        if pieces.ids is not None:
            size = (len(dense), self.vocabulary_size)
            dense = torch.zeros(size, dtype=dense.dtype, device=dense.device).scatter(1, pieces.ids, dense)
        return dense.gather(1, features["input_ids"]).detach()

    def counted(self, features: dict[str, Any], unknown: bool = False) -> Tensor:
        """Return which positions are neither padding nor special, bool of shape ``[B, L]``.

        :param unknown: Whether positions of the unknown token count too.
        """
        ids = features["input_ids"]
        excluded = self.special[self.special != self.unknown_id] if unknown else self.special
        special = torch.isin(ids, excluded.to(ids.device))
        counted = features["attention_mask"].bool() & ~special
        if OFFSETS in features and any(prompt for prompt, _ in features[TEXTS]):
            begins = torch.tensor([len(prompt) for prompt, _ in features[TEXTS]], device=ids.device)
            counted &= features[OFFSETS][..., 1].to(ids.device) > begins[:, None]
        return cast(Tensor, counted)

    # -- files ----------------------------------------------------------------------------------------------------

    def get_config_dict(self) -> dict[str, Any]:
        """Return the options, and which parts the files beside the configuration hold."""
        head = getattr(self.weighting, "head", None)
        adaptation = adaptation_of(self.fitted)
        return {
            **{key: getattr(self, key) for key in self.config_keys},
            "bridge": self._bridge_kind(),
            "bias": self.learned is not None and self.learned.bias is not None,
            "head": None if head is None else head.config_dict,
            "ridge": self.fitted.ridge if isinstance(self.fitted, CorpusBridge) else None,
            "spread": self.fitted.spread if isinstance(self.fitted, CorpusBridge) else None,
            "adaptation": None if adaptation is None else adaptation.as_dict(),
        }

    def _bridge_kind(self) -> str | None:
        if self.learned is not None:
            return "learned"
        return None if self.fitted is None else "corpus"

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write the options, the weights (always as safetensors) and the statistics of a corpus-fitted bridge."""
        del args, kwargs, safe_serialization
        if self.fitted is not None and not isinstance(self.fitted, CorpusBridge):
            raise InvalidInputError(f"A bridge of type {type(self.fitted).__name__} cannot be saved.")
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=True)
        if isinstance(self.fitted, CorpusBridge):
            self.fitted.statistics.save(Path(output_path) / STATISTICS_FILE)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", *_: Any, **kwargs: Any) -> QueryModulation:
        """Read what :meth:`save` wrote.

        :raises CorruptFileError: When a file is missing, damaged or does not fit.
        """
        names = ("token", "cache_folder", "revision", "local_files_only")
        hub_options = {name: kwargs[name] for name in names if name in kwargs}
        folder = Path(cls.load_dir_path(model_name_or_path, subfolder=subfolder, **hub_options) or "")
        try:
            config = json.loads((folder / cls.config_file_name).read_text(encoding="utf-8"))
            module = cls(**{key: config[key] for key in cls.config_keys})
            module._restore(config)
            load_model(module, folder / WEIGHTS_FILE)  # handles tensors that share memory
            if config["bridge"] == "corpus":
                statistics, _about = CorpusStatistics.load(folder / STATISTICS_FILE)
                saved = config.get("adaptation")
                adaptation = Adaptation.from_dict(saved) if saved else None
                bridge = CorpusBridge(
                    statistics,
                    config["ridge"],
                    units=module.units,
                    adaptation=adaptation,
                    spread=config.get("spread"),
                )
                module.set_bridge(bridge)
        except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, CorruptFileError):
                raise
            raise CorruptFileError(f"The modulation in {folder} is damaged or incomplete: {error}") from error
        return module

    def _restore(self, config: dict[str, Any]) -> None:
        """Create the parts whose weights are about to be loaded."""
        if config["bridge"] == "learned":
            self.set_bridge(LearnedBridge(self.vocabulary_size, self.dimension, bias=config["bias"]))
        if config["head"] is not None:
            self.attach_head(head_from_config(config["head"]))
