"""What parsers raise on damaged and hostile files, as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import LsbRagError, ReadError

MAX_REASON = 200


@contextmanager
def reading(kind: str) -> Iterator[None]:
    """Turn whatever a parser raises into a :class:`~lsb_rag.errors.ReadError`.

    :param kind: What is read, such as ``PDF``.
    """
    try:
        yield
    except LsbRagError:
        raise
    except RecursionError as error:
        raise ReadError(f"The {kind} is nested too deeply.") from error
    except MemoryError as error:
        raise ReadError(f"The {kind} needs more memory than is left.") from error
    except Exception as error:
        said = " ".join(str(error).split())[:MAX_REASON].rstrip(".") or type(error).__name__
        raise ReadError(f"The {kind} is damaged: {said}.") from error
