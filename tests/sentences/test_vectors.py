from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lsb_rag.sentences.vectors import SentenceVectors, cosines


@pytest.mark.parametrize("dimension", [1, 2, 7, 384])
def test_four_bits_tell_directions(dimension: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, dimension)).astype(np.float32)
    packed = SentenceVectors.of(vectors)
    assert packed.packed.nbytes == 50 * ((dimension + 1) // 2)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (packed.alone() * unit).sum(axis=1).min() > 0.98
    np.testing.assert_allclose(np.linalg.norm(packed.alone(), axis=1), 1)


@given(arrays(np.float32, (3, 5), elements=st.floats(-2, 2, width=32)))
def test_bytes_there_and_back(vectors: np.ndarray) -> None:
    packed = SentenceVectors.of(vectors)
    again = SentenceVectors.from_bytes(packed.to_bytes(), 5)
    np.testing.assert_array_equal(packed.alone(), again.alone())
    assert np.isfinite(again.in_context()).all()


@pytest.mark.parametrize("in_context", [True, False])
def test_a_cosine_does_not_depend_on_what_stands_beside(in_context: bool) -> None:
    rng = np.random.default_rng(1)
    passages = [
        SentenceVectors.of(rng.normal(size=(n, 64)).astype(np.float32), titled=titled)
        for n, titled in ((3, True), (0, False), (5, False), (1, True), (2, True))
    ]
    query = rng.normal(size=64).astype(np.float32)
    query /= np.linalg.norm(query)
    together = cosines(passages, query, in_context=in_context)
    assert [len(one) for one in together] == [2, 0, 5, 0, 1]
    for passage, found in zip(passages, together, strict=True):
        assert cosines([passage], query, in_context=in_context)[0].tolist() == found.tolist()
        vectors = passage.in_context() if in_context else passage.alone()
        np.testing.assert_allclose(vectors @ query, found, atol=1e-7)
    assert cosines([], query, in_context=in_context) == []


def test_in_context_a_sentence_lies_halfway_to_the_title() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 2]]
    untitled, titled = SentenceVectors.of(vectors), SentenceVectors.of(vectors, titled=True)
    assert (len(untitled), len(titled)) == (3, 2)
    np.testing.assert_array_equal(untitled.in_context(), np.eye(3))
    np.testing.assert_array_equal(titled.alone(), np.eye(3)[:2])
    np.testing.assert_allclose(titled.in_context(), np.array([[1, 0, 1], [0, 1, 1]]) / np.sqrt(2))
    assert SentenceVectors.of(vectors[:1], titled=True).in_context().shape == (0, 3)
