"""Errors raised on purpose by the library: all share one base class, and each is also a fitting built-in exception."""

from __future__ import annotations


class LsbRagError(Exception):
    """Base class of all errors of this library. The message says what to do."""


class InvalidInputError(LsbRagError, ValueError):
    """A value that cannot be used: a blank query, a vector with NaN, a wrong dimension, an unknown option."""


class InvalidTypeError(LsbRagError, TypeError):
    """A value of the wrong type, such as a query that is not a string."""


class BackboneError(LsbRagError, OSError):
    """A backbone that is not installed, not found, not reachable, or not the expected one."""


class FingerprintMismatchError(LsbRagError, ValueError):
    """A collection whose vectors come from another backbone than the one at hand."""


class CollectionNotFoundError(LsbRagError, LookupError):
    """A collection that the database does not hold."""


class StoreError(LsbRagError, RuntimeError):
    """The vector store failed or refused; what was stored before is untouched."""


class BusyError(StoreError):
    """Another process holds a lock that is needed; trying again later may succeed."""


class ClusterError(LsbRagError, RuntimeError):
    """A Ray cluster that cannot be reached, or whose workers failed; what was stored before is kept."""


class CorruptFileError(LsbRagError, ValueError):
    """A file that is truncated, damaged or in a format this version does not read."""


class ReadError(LsbRagError, OSError):
    """A document, corpus or question file that cannot be read."""


class MissingExtraError(LsbRagError, ImportError):
    """An optional dependency that is not installed."""


class TrainingError(LsbRagError, RuntimeError):
    """A training run that cannot continue; its last good checkpoint is kept."""


class GenerationError(LsbRagError, RuntimeError):
    """A generator that failed to answer."""


class EndpointError(GenerationError, ConnectionError):
    """A language-model endpoint that cannot be reached, refuses, or answers nonsense."""
