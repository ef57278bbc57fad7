"""Tiny random backbones with real tokenizers of every sort, saved as sentence-transformers saves them."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from lsb_rag import CorpusBridge, CorpusStatistics, LearnedBridge, LexSemBridgeEncoder

WIDTH = 32
MAX_LENGTH = 64
QUERIES = ["what does E-4012 mean", "valve spring ZX81", "the the pump", "lunch"]
KINDS = [("wordpiece", "cls"), ("bpe", "mean"), ("unigram", "mean")]
TEXTS = [
    "The pump stopped because the inlet is blocked, error E-4012.",
    "The valve stays open when its spring is worn; replace part ZX81.",
    "subprocess.run check exist_ok snake_case naive cafe STRASSE",
    "Lunch is served in the canteen from noon on public holidays.",
] * 5
BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def pieces(first: str, later: str) -> list[str]:
    """Characters and pieces of the sentences' words, marked as the start of a word or as what follows it."""
    words = sorted({word for text in TEXTS for word in re.findall(r"\w+", f"{text} {text.lower()}")})
    starts = {*(word[:4] for word in words), *(word[:2] for word in words), *string.ascii_letters, *string.digits}
    ends = {*(word[4:] for word in words if len(word) > 4), *string.ascii_letters, *string.digits, *"-_.,;"}
    return sorted({*(first + start for start in starts), *(later + end for end in ends), *"-_.,;", *first})


def tiny_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A WordPiece, BPE or Unigram (SentencePiece) tokenizer with the pieces of a few sentences, always the same ones.

    Only the trainer of BPE makes the same vocabulary every time; the other two break ties by chance.
    """
    if kind == "wordpiece":
        vocabulary = [*BERT_TOKENS, *pieces("", "##")]
        ids = {piece: id for id, piece in enumerate(vocabulary)}
        tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))  # noqa: S106 - a token, not a secret
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        names = dict(zip(("pad", "unk", "cls", "sep", "mask"), BERT_TOKENS, strict=True))
    else:
        names = dict(zip(("cls", "pad", "sep", "unk", "mask"), ROBERTA_TOKENS, strict=True))
        if kind == "bpe":
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
            tokenizer.decoder = decoders.ByteLevel()
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer = trainers.BpeTrainer(
                vocab_size=420, special_tokens=ROBERTA_TOKENS, initial_alphabet=alphabet, show_progress=False
            )
            tokenizer.train_from_iterator(TEXTS, trainer)
        else:
            scored = [*((token, 0.0) for token in ROBERTA_TOKENS), *((p, -8.0 / len(p)) for p in pieces("▁", ""))]
            tokenizer = Tokenizer(models.Unigram(scored, unk_id=ROBERTA_TOKENS.index("<unk>")))
            tokenizer.add_special_tokens(ROBERTA_TOKENS)
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            tokenizer.decoder = decoders.Metaspace()
    cls, sep = ((names[name], tokenizer.token_to_id(names[name])) for name in ("cls", "sep"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls[0]} $A {sep[0]}", pair=f"{cls[0]} $A {sep[0]} $B {sep[0]}", special_tokens=[cls, sep]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_LENGTH,
        **{f"{name}_token": token for name, token in names.items()},
    )


def tiny_masked_lm(kind: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A random masked language model: BERT for WordPiece, RoBERTa for BPE, XLM-R for SentencePiece."""
    options = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": MAX_LENGTH + 4,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.3,
    }
    torch.manual_seed(0)
    if kind == "wordpiece":
        return BertForMaskedLM(BertConfig(**options))
    if kind == "bpe":
        return RobertaForMaskedLM(RobertaConfig(**options))
    return XLMRobertaForMaskedLM(XLMRobertaConfig(**options))


def save_tiny(folder: Path, kind: str, pooling: str, *, with_mlm_head: bool = False) -> Path:
    """Save a backbone; `with_mlm_head` keeps the MLM head in the checkpoint."""
    tokenizer = tiny_tokenizer(kind)
    masked = tiny_masked_lm(kind, tokenizer)
    parts = folder.with_name(f"{folder.name}-parts")
    (masked if with_mlm_head else getattr(masked, masked.base_model_prefix)).save_pretrained(parts)
    tokenizer.save_pretrained(parts)
    transformer = Transformer(str(parts))
    model = SentenceTransformer(modules=[transformer, Pooling(WIDTH, pooling)], device="cpu")
    model.save_pretrained(str(folder))
    if with_mlm_head:
        masked.save_pretrained(folder)  # the checkpoint beside the modules' own
    return folder


def with_bridge(encoder: LexSemBridgeEncoder, kind: str, seed: int = 0) -> LexSemBridgeEncoder:
    torch.manual_seed(seed)
    if kind == "learned":
        bridge = LearnedBridge(encoder.modulation.vocabulary_size, WIDTH)
        torch.nn.init.normal_(bridge.weight)
        encoder.bridge = bridge
    else:
        statistics = CorpusStatistics(WIDTH)
        statistics.add([encoder.analyze(text) for text in TEXTS], encoder.encode_document(TEXTS))
        encoder.bridge = CorpusBridge(statistics)
    return encoder
