"""The passages of a collection as an evaluation sees them: copies of a text count as one passage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from ..passage import Hit
from ..store.passage_store import PassageStore
from ..utils.text import folded
from .dataset import Qrels


class Corpus:
    """The distinct passages of a collection, read once.

    Passages with equal texts, white space folded, are copies and count as one passage. Its id is the least of those
    that are judged, or else the least of all; its text is the least of theirs.

    :param store: The collection.
    :param judged: Ids that judgements name.
    :param progress: Called with the number of passages read and the total.
    """

    def __init__(
        self,
        store: PassageStore,
        judged: Collection[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        ids = sorted(store.ids(), key=lambda id: (id not in judged, id))
        alike: dict[str, list[Hit]] = {}
        for done, row in enumerate(store.chroma.rows(ids), start=1):
            hit = row.hit()
            alike.setdefault(folded(hit.text) or hit.id, []).append(hit)
            if progress:
                progress(done, len(ids))
        self.passages: dict[str, Hit] = {}
        self._copies: dict[str, str] = {}
        self._by_text: dict[str, list[str]] = {}
        # In the order of their texts, so that neither ids nor places in the collection matter.
        for _, hits in sorted(alike.items()):
            id = hits[0].id
            self.passages[id] = replace(min(hits, key=_content), id=id)
            self._copies.update((hit.id, id) for hit in hits[1:])
            for text in {folded(text) for hit in hits for text in (hit.text, hit.body, hit.embedded_text)}:
                self._by_text.setdefault(text, []).append(id)

    @property
    def copies(self) -> int:
        """The number of passages that are copies of others."""
        return len(self._copies)

    def counted(self, id: str) -> str:
        """Return the id that a passage counts under: its own, unless it is a copy or not in the collection."""
        return self._copies.get(id, id)

    def holds(self, id: str) -> bool:
        """Whether an id is a passage's, or a copy's."""
        return self.counted(id) in self.passages

    def judgements(self, qrels: Qrels) -> dict[str, dict[str, int]]:
        """Return judgements by the ids that passages count under. A copy of a relevant passage is as relevant."""
        judged: dict[str, dict[str, int]] = {}
        for query, relevance in qrels.items():
            by_id = judged[query] = {}
            for id, score in relevance.items():
                counted = self.counted(id)
                by_id[counted] = max(score, by_id.get(counted, score))
        return judged

    def distinct(self, hits: Sequence[Hit]) -> list[Hit]:
        """Return `hits` as the passages that they count as, each once, in their order and with their scores."""
        found: dict[str, Hit] = {}
        for hit in hits:
            id = self.counted(hit.id)
            one = self.passages.get(id, hit)
            found.setdefault(id, replace(hit, id=id, text=one.text, title=one.title, metadata=one.metadata))
        return list(found.values())

    def find(self, id: str, text: str) -> Hit | None:
        """Return the passage of a text, or else that of an id; None where neither is in the collection.

        The text decides, because other collections may give the same ids to other passages.

        :param id: An id, or an empty string.
        :param text: A text with or without the title above it, or an empty string.
        """
        of_text = self._by_text.get(folded(text), ())
        own = self.counted(id)
        if own in self.passages and (not text or own in of_text or not of_text):
            return self.passages[own]
        return self.passages[of_text[0]] if of_text else None


def _content(hit: Hit) -> tuple[str, str, str]:
    return hit.text, hit.title, hit.embedded_text
