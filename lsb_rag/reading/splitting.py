"""Cut a document into passages that a backbone reads whole, between its blocks, each under its path of headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from semantic_text_splitter import TextSplitter
from tokenizers import Tokenizer

from ..utils.digests import content_id
from .block import Block, Document

SEPARATOR = " \u203a "
TITLE_CHARACTERS = 100
HEADING_CHARACTERS = 60
"""Longest heading in a title; of a longer one the beginning."""
DEFAULT_TOKENS = 256
"""Tokens of a passage with its title, where the backbone names no limit."""
MOST_TOKENS = 512
SPECIAL_TOKENS = 3
CHARACTERS_PER_TOKEN = 4
"""Characters that count as a token where there is no tokenizer."""
LONGEST_TOKEN = 27
"""Most characters that count as one token; a tokenizer makes one of an endless word."""
SHORT = 48
"""Tokens below which a section, or a definition, is joined with the next one."""
FEW_CHARACTERS = 80
"""Characters below which a section goes to the one before it, where it fits."""
ROOM_STEP = 16
"""Parts of a block are cut to multiples of so many tokens: what cuts them takes a tenth of a second to make."""
SLICE = 20_000
"""Characters of a text that are cut at a time."""

_LEAD = re.compile(r" *(?::   |[-*+] |\d+\. )?")
"""Indentation and mark of an item or a definition."""
_FENCE = re.compile(r"\s*(```+|~~~+)")


@dataclass(frozen=True)
class _Measured:
    """A block with the tokens of its text and of its header."""

    block: Block
    tokens: int
    head: int


@dataclass(frozen=True)
class Section:
    """The text of a passage.

    :param headings: The headings it stands under, the outermost first.
    :param text: The text.
    """

    headings: tuple[str, ...]
    text: str


class Splitter:
    """Cuts documents.

    :param tokenizer: The backbone's tokenizer. Without one, four characters count as a token.
    :param max_length: The backbone's longest input, in tokens; 0 for one that names none.
    """

    def __init__(self, tokenizer: Tokenizer | None = None, max_length: int = 0) -> None:
        self.capacity = min(max_length or DEFAULT_TOKENS, MOST_TOKENS) - SPECIAL_TOKENS
        self.settings = f"{self.capacity} tokens"
        """What a document is cut by, besides its text."""
        self._fitting_to: dict[int, TextSplitter] = {}
        self._tokenizer = None
        if tokenizer is not None:
            self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            self.settings += f" of {content_id(self._tokenizer.to_str())}"

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        if self._tokenizer is None:
            return [len(text) // CHARACTERS_PER_TOKEN + 1 for text in texts]
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [max(len(one.ids), len(text) // LONGEST_TOKEN) for one, text in zip(found, texts, strict=True)]

    def sections(self, document: Document, name: str = "") -> list[Section]:
        """Return the sections of a document, in order.

        A block is cut only if it is longer than a passage, a table between its rows, and what heads it is repeated: the
        header of a table, the term of a definition. A heading is in the path of what follows it, and no section; a
        document of headings alone has none.

        :param name: The document's name, where it has no title.
        """
        packer = _Packer(self, document.title or name)
        for block in self._fitting(document.blocks):
            packer.add(*block)
        return packer.finish()

    def _fitting(self, blocks: Iterable[Block]) -> Iterator[tuple[Block, int, int]]:
        """Yield blocks that fit into a passage, with the tokens of their text and their header."""
        pieces = [piece for block in blocks for piece in _sliced(block)]
        texts = self.tokens([block.text for block in pieces])
        headers = dict.fromkeys(block.header for block in pieces)
        in_header = dict(zip(headers, self.tokens([*headers]), strict=True))
        for block, tokens in zip(pieces, texts, strict=True):
            head = in_header[block.header]
            most = self.capacity // 2
            if head > most:  # hardly a header: it is cut with the text
                block = replace(block, text=f"{block.header}\n{block.text}", header="")
                tokens, head = tokens + head, 0
            room = self.capacity - head - TITLE_CHARACTERS // CHARACTERS_PER_TOKEN
            if tokens <= room or block.kind == "heading":
                yield block, tokens, head
            else:
                parts = self._cut(block, room)
                for part, of_part in zip(parts, self.tokens(parts), strict=True):
                    yield replace(block, text=part), of_part, head

    def _cut(self, block: Block, room: int) -> list[str]:
        """Return the parts of a block that is longer than `room` tokens."""
        if block.kind == "code":
            return self._cut_code(block.text, room)
        if block.kind == "table":
            return self._cut_lines(block.text.split("\n"), room)
        lead = match[0] if (match := _LEAD.match(block.text)) else ""
        parts = self._cut_prose(block.text[len(lead) :], room)
        return [f"{' ' * len(lead) if at else lead}{part.lstrip()}" for at, part in enumerate(parts)]

    def _cut_code(self, text: str, room: int) -> list[str]:
        lines = text.split("\n")
        opening, closing = lines[0], lines[-1]
        if not _FENCE.match(opening):
            return self._cut_lines(lines, room)
        body = self._cut_lines(lines[1:-1], room - 2 * len(self.tokens([opening])) - 2)
        return [f"{opening}\n{part}\n{closing}" for part in body]

    def _cut_lines(self, lines: Sequence[str], room: int) -> list[str]:
        parts: list[str] = []
        open_lines: list[str] = []
        used = 0
        for line, tokens in zip(lines, self.tokens(lines), strict=True):
            if open_lines and used + tokens > room:
                parts.append("\n".join(open_lines))
                open_lines, used = [], 0
            if tokens > room:
                parts += self._cut_prose(line, room)
            else:
                open_lines.append(line)
                used += tokens
        return [*parts, "\n".join(open_lines)] if open_lines else parts

    def _cut_prose(self, text: str, room: int) -> list[str]:
        """Cut at the largest boundary that fits: paragraph, sentence, word."""
        room = max(ROOM_STEP, room - room % ROOM_STEP)
        if self._tokenizer is None:
            return TextSplitter(room * CHARACTERS_PER_TOKEN).chunks(text) or [text]
        if room not in self._fitting_to:
            self._fitting_to[room] = TextSplitter.from_huggingface_tokenizer(self._tokenizer, room)
        short = TextSplitter(room * LONGEST_TOKEN)
        return [part for chunk in self._fitting_to[room].chunks(text) for part in short.chunks(chunk)] or [text]


def _sliced(block: Block) -> Iterator[Block]:
    """Yield a block in slices, cut at white space, so that the time to cut it grows with its length alone."""
    text = block.text
    start = 0
    while len(text) - start > SLICE:
        end = max(text.rfind(space, start, start + SLICE) for space in ("\n", " ")) + 1
        end = end if end > start else start + SLICE
        yield replace(block, text=text[start:end].rstrip(), kind="paragraph" if block.kind == "code" else block.kind)
        start = end
    if start == 0:
        yield block
    elif text[start:].strip():
        yield replace(block, text=text[start:], kind="paragraph" if block.kind == "code" else block.kind)


@dataclass
class _Open:
    """The section that is being packed.

    :param headings: The headings it stands under.
    :param parts: Its parts.
    :param tokens: Their tokens.
    :param last: The last block in it.
    """

    headings: tuple[str, ...]
    parts: list[str] = field(default_factory=list)
    tokens: int = 0
    last: Block | None = None


class _Packer:
    """Packs blocks into sections.

    :param splitter: What counts tokens.
    :param title: The document's title.
    """

    def __init__(self, splitter: Splitter, title: str) -> None:
        self._splitter = splitter
        self._title = title
        self._closed: list[_Open] = []
        self._path: list[Block] = []
        self._pending: list[Block] = []
        """Headings without text under them yet."""
        self._waiting: list[_Measured] = []
        """What belongs to the next block."""
        self._open: _Open | None = None
        self._title_tokens: dict[str, int] = {}

    def add(self, block: Block, tokens: int, head: int) -> None:
        """Add a block of so many tokens, its header's apart."""
        one = _Measured(block, tokens, head)
        if block.kind == "heading":
            self._release()
            self._path = [*(above for above in self._path if above.level < block.level), block]
            self._pending.append(block)
        elif block.kind == "caption" or (block.kind == "paragraph" and block.text.endswith(":")):
            self._waiting.append(one)
        else:
            together = sum(each.tokens + each.head for each in self._waiting) + one.tokens + one.head
            if together > self._room(self._headings()):
                self._release()
            group, self._waiting = [*self._waiting, one], []
            self._take(group)

    def finish(self) -> list[Section]:
        """Return the sections."""
        self._release()
        if self._pending and self._open:
            self._open.parts += [_line(one.level, one.text) for one in self._pending]
        self._close()
        return [Section(one.headings, "\n\n".join(one.parts)) for one in self._closed]

    def _release(self) -> None:
        """Take what waits for a block that does not come, or does not fit beside it."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            self._take([one])

    def _headings(self) -> tuple[str, ...]:
        return tuple(one.text for one in self._path)

    def _room(self, headings: tuple[str, ...]) -> int:
        title = title_of(self._title, headings)
        if title not in self._title_tokens:
            self._title_tokens[title] = self._splitter.tokens([title])[0]
        return self._splitter.capacity - self._title_tokens[title]

    def _take(self, group: Sequence[_Measured]) -> None:
        """Add blocks that stay together."""
        needed = sum(one.tokens + one.head for one in group)
        if self._open:
            fits = self._open.tokens + needed <= self._room(self._open.headings)
            apart = self._pending or _begins_entry(group[0].block, self._open.last)
            if not fits or (apart and self._open.tokens >= SHORT):
                self._close()
        if self._open is None:
            headings = self._headings()
            self._open = _Open(headings)
            lost = [one for one in self._pending if one not in self._path]
        else:
            lost = self._pending
            if lost:
                self._move_under(self._open, self._headings())
        for heading in lost:
            if not self._is_title(heading.text):
                self._open.parts.append(_line(heading.level, heading.text))
                self._open.tokens += len(heading.text) // CHARACTERS_PER_TOKEN + 2
            self._open.last = None
        self._pending = []
        for one in group:
            self._write(self._open, one)

    def _move_under(self, section: _Open, headings: tuple[str, ...]) -> None:
        """Put a section under the headings that it shares with another one; its own go into the text."""
        shared = _shared(section.headings, headings)
        own = [one for one in section.headings[shared:] if not self._is_title(one)]
        section.parts[:0] = [_line(shared + 1 + at, one) for at, one in enumerate(own)]
        section.headings = section.headings[:shared]

    def _is_title(self, heading: str) -> bool:
        return title_of(self._title, [heading]) == title_of(self._title, [])

    @staticmethod
    def _write(section: _Open, one: _Measured) -> None:
        block, last = one.block, section.last
        above = block.header.split("\n") if block.header else []
        known = last.header.split("\n") if last and last.header else []
        shared = _shared(above, known)
        text = block.text
        if block.kind == "definition" and above[shared:] and not text.lstrip().startswith(":"):
            indent = len(text) - len(text.lstrip())
            text = f"{' ' * (indent - 4)}:   {text.lstrip()}"
        close = last and last.kind == block.kind and block.kind in ("item", "table") and last.header == block.header
        if close:
            section.parts[-1] += f"\n{text}"
        else:
            section.parts.append("\n".join([*above[shared:], text]))
        section.tokens += one.tokens + (one.head if above[shared:] else 0)
        section.last = block

    def _close(self) -> None:
        section, self._open = self._open, None
        if section is None:
            return
        before = self._closed[-1] if self._closed else None
        small = sum(map(len, section.parts)) < FEW_CHARACTERS
        if before and small and before.tokens + section.tokens <= self._room(before.headings) - SPECIAL_TOKENS:
            own = section.headings[_shared(before.headings, section.headings) :]
            self._move_under(before, section.headings)
            level = len(before.headings) + 1
            before.parts += [_line(level + at, one) for at, one in enumerate(own)] + section.parts
            before.tokens += section.tokens
        else:
            self._closed.append(section)


def _begins_entry(block: Block, last: Block | None) -> bool:
    """Whether a block begins a definition that does not belong to the one before it."""
    above = last.header if last else ""
    nested = bool(above) and block.header.startswith(f"{above}\n")
    return block.kind == "definition" and block.header != above and not nested


def _line(level: int, heading: str) -> str:
    return f"{'#' * min(level, 6)} {heading}"


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many items two sequences share at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def path_below(title: str, headings: Sequence[str]) -> Sequence[str]:
    """Return the headings of a document without a first one that says its title again."""
    if not (title and headings):
        return headings
    one, other = title.casefold(), headings[0].casefold()
    return headings[1:] if one.startswith(other) or other.startswith(one) else headings


def title_of(title: str, headings: Sequence[str]) -> str:
    """Return the title of a passage: the document's, and the path of headings, the middle left out where it is long."""
    path = [title, *path_below(title, headings)] if title else [*headings]
    path = [f"{one[: HEADING_CHARACTERS - 1].rstrip()}…" if len(one) > HEADING_CHARACTERS else one for one in path]
    while len(path) > 2 and len(SEPARATOR.join(path)) > TITLE_CHARACTERS:
        del path[1]
    return SEPARATOR.join(path)
