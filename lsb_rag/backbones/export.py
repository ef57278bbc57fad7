"""Export of a sentence-transformers model to an ONNX graph, checked against PyTorch before it is trusted."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.digests import file_sha256
from ..utils.logging import silenced
from .base import PROBES, Matrix
from .embedded import is_embedded
from .graph_cache import NotExportedError
from .onnx_graph import FIELDS, MODEL, OUTPUT, TOKENIZER, Description, OnnxGraph
from .queries import prompt_for
from .sentence_transformer import fingerprint
from .spread import UNRELATED, spread_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SAME_AS_TORCH = 0.999999
"""Least cosine of a graph's vectors to those of PyTorch."""
EXPORTED = ("Transformer", "Pooling", "Dense", "Normalize")
"""Modules that are exported."""
OPSET = 17
LARGEST = 1_900_000_000
"""Most bytes of weights, as one file of ONNX holds 2 GiB."""
TRIED = (
    *PROBES,
    *UNRELATED,
    "E",
    "  an INDENTED line,\n\tand\r\nothers  ",
    "Größe, naïveté, 数据库错误 E-4012, ошибка, 🙂 and \N{COMBINING ACUTE ACCENT}",
    "[CLS] [MASK] </s> <unk> <|endoftext|>",
    "0x80070005 --no-verify kubectl.get(pods)[0] x_y/z",
    "w" * 600,
    "The filter of the pump is clogged. " * 400,
)
"""Texts on which a graph is compared with PyTorch, some short, some longer than any model takes that is exported."""
LONGEST = 1024
"""Longest input, in tokens, of a model that is exported: a graph holds the attention of each token to each."""
LIBRARIES = ("lsb-rag", "torch", "transformers", "sentence-transformers", "onnx", "onnxruntime")

logger = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Return the versions of the libraries that export; of those that are installed."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def export(model: SentenceTransformer, name: str, folder: Path) -> None:
    """Write the graph of a model to a folder.

    :param model: On the processor.
    :param name: What it is loaded by.
    :raises NotExportedError: When it cannot be exported, or its graph gives other vectors.
    """
    if reason := _obstacle(model):
        raise NotExportedError(reason)
    logger.info("Exporting the backbone %s to ONNX, once.", name)
    try:
        inputs = _write_graph(model, folder / MODEL)
        (folder / TOKENIZER).write_text(_tokenizer(model).to_str(), encoding="utf-8")
        description = Description(
            fingerprint=fingerprint(model, name).to_json(),
            spread=1.0,
            inputs=inputs,
            query_prompt=prompt_for(model, "query"),
            passage_prompt=prompt_for(model, "document", "passage", "corpus"),
            unknown=model.tokenizer.unk_token,
            cosine=0.0,
            made_with=versions(),
            hashes={file: file_sha256(folder / file) for file in (MODEL, TOKENIZER)},
        )
        description.write(folder)
        graph = OnnxGraph(folder)
        cosine = _least_cosine(model, graph)
        spread = 1.0 if is_embedded(name) else spread_of(embed(graph, UNRELATED, description.passage_prompt))
        replace(description, cosine=cosine, spread=spread).write(folder)
    except (NotExportedError, OSError):
        raise
    except Exception as error:  # whatever the tracer, the exporter and ONNX Runtime meet
        why = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
        short_of_memory = isinstance(error, MemoryError) or "alloc" in str(error)
        raise NotExportedError(f"the export failed: {why}", for_good=not short_of_memory) from error
    if not cosine >= SAME_AS_TORCH:
        raise NotExportedError(f"its graph gives other vectors (cosine {cosine:.7f})")


def embed(graph: OnnxGraph, texts: tuple[str, ...], prompt: str) -> Matrix:
    """Return the vectors of texts, float32 of length 1, shape ``[len(texts), d]``."""
    return np.concatenate([graph(tokens) for tokens in graph.tokens(texts, prompt)])


def _obstacle(model: SentenceTransformer) -> str:
    """Return why a model cannot be exported; empty where it may be tried."""
    foreign = [kind for kind in (type(module).__name__ for module in model) if kind not in EXPORTED]
    if foreign:
        return f"it has a module {foreign[0]}"
    if not getattr(model.tokenizer, "is_fast", False):
        return "its tokenizer is not a fast one"
    weights = list(model.parameters())
    kinds = {str(weight.dtype).removeprefix("torch.") for weight in weights}
    if kinds - {"float32"}:
        return f"its weights are {', '.join(sorted(kinds))}"
    if not 0 < int(model.max_seq_length or 0) <= LONGEST:
        return f"it takes more than {LONGEST:,} tokens, which would take too much memory"
    if model.truncate_dim is not None:
        return "it truncates its vectors"
    if sum(weight.nbytes for weight in weights) > LARGEST:
        return "its weights are too large for one file"
    if not all(getattr(module, "include_prompt", True) for module in model):
        return "it leaves its prompts out of the pooling"
    return ""


def _write_graph(model: SentenceTransformer, file: Path) -> list[str]:
    """Write the graph, and return the names of its inputs."""
    import torch

    features = model.preprocess(["A few words.", "A text that is longer than the other one."], task="document")
    given = {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}
    inputs = [name for name in FIELDS if name in given]
    if unknown := set(given) - set(inputs):
        raise NotExportedError(f"it takes {', '.join(sorted(unknown))}")

    class Vectors(torch.nn.Module):
        """The model with positional inputs and one output, as tracing needs."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            named: dict[str, Any] = dict(zip(inputs, tensors, strict=True))
            for module in self.model:
                named = module(named)
            return torch.nn.functional.normalize(named["sentence_embedding"], dim=-1)

    axes: Mapping[str, Mapping[int, str]] = {name: {0: "texts", 1: "tokens"} for name in inputs}
    with warnings.catch_warnings(), silenced("torch.onnx"), torch.inference_mode(), _written_out(model):
        warnings.simplefilter("ignore")  # about branches that other inputs do not take, which the check would show
        torch.onnx.export(
            Vectors().eval(),
            tuple(given[name] for name in inputs),
            str(file),
            input_names=inputs,
            output_names=[OUTPUT],
            dynamic_axes={**axes, OUTPUT: {0: "texts"}},
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs onnxscript, and ten times as long
        )
    return inputs


@contextmanager
def _written_out(model: SentenceTransformer) -> Iterator[None]:
    """Have the attention computed step by step, which makes a quarter fewer nodes than the fused one."""
    transformer: Any = next(module for module in model if hasattr(module, "auto_model")).auto_model
    before = getattr(transformer.config, "_attn_implementation", None)
    try:
        transformer.set_attn_implementation("eager")
    except (AttributeError, ValueError):  # a model without the choice
        yield
        return
    try:
        yield
    finally:
        transformer.set_attn_implementation(before or "eager")


def _tokenizer(model: SentenceTransformer) -> Any:
    """Return the tokenizer as the model has set it up for a passage: the longest input and where it is cut."""
    model.preprocess(["A few words."], task="document")
    return model.tokenizer.backend_tokenizer


def _least_cosine(model: SentenceTransformer, graph: OnnxGraph) -> float:
    """Return the least cosine of the graph's vectors of :data:`TRIED` to the model's, as queries and as passages."""
    texts, found = TRIED, graph.description
    given = [embed(graph, texts, found.query_prompt), embed(graph, texts, found.passage_prompt)]
    asked: dict[str, Any] = {"show_progress_bar": False, "normalize_embeddings": True, "batch_size": 4}
    theirs = [model.encode_query(list(texts), **asked), model.encode_document(list(texts), **asked)]
    # At least one batch of texts of one length, as passages are computed.
    tokens = graph.tokens([texts[0]] * 2, found.passage_prompt)
    together = graph({name: np.concatenate([one[name] for one in tokens]) for name in found.inputs})
    pairs = [*zip(given, theirs, strict=True), (together, np.stack([theirs[1][0]] * 2))]
    cosines = [(mine.astype(np.float64) * np.asarray(theirs, np.float64)).sum(axis=1) for mine, theirs in pairs]
    return float(np.concatenate(cosines).min())
