"""How the classes are made: by name, and refused in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from lsb_rag.errors import InvalidTypeError
from lsb_rag.utils import plainly_refused


class Plainly(BaseModel):
    """A model of pydantic whose wrong arguments are refused in one sentence that names the right call."""

    right_call: ClassVar[str] = ""
    """How it is made."""
    instead: ClassVar[Mapping[str, str]] = {}
    """By names of options that others have: what to give in place of it."""

    if not TYPE_CHECKING:  # for type checkers the options are the fields

        def __init__(self, *given: Any, **options: Any) -> None:
            kind = type(self)
            if given:
                msg = f"{kind.__name__} takes its options by name, and not {type(given[0]).__name__}. {kind.right_call}"
                raise InvalidTypeError(msg)
            aliases = (field.alias for field in kind.model_fields.values() if field.alias)
            known = {*kind.model_fields, *aliases}
            with plainly_refused(kind.__name__, known, options, right_call=kind.right_call, instead=kind.instead):
                super().__init__(**options)
