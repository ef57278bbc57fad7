"""LlamaIndex's metadata filters in Chroma's `where` language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from lsb_rag.errors import InvalidInputError, InvalidTypeError

OPERATORS = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.CONTAINS: "$contains",
}
SEVERAL = {FilterOperator.ANY: "$or", FilterOperator.ALL: "$and"}
"""Operators over the values of a list: `$contains` for each."""
CONDITIONS = {FilterCondition.AND: "$and", FilterCondition.OR: "$or"}
OPPOSITES = {"$eq": "$ne", "$in": "$nin", "$contains": "$not_contains"}
"""Operators of which one matches just the records that the other does not, among them those without the key."""
OPPOSITES |= {opposite: operator for operator, opposite in OPPOSITES.items()}


def where(filters: MetadataFilters | None) -> dict[str, Any] | None:
    """`filters` for Chroma.

    Raises:
        InvalidInputError: For an operator or condition that Chroma does not have.
        InvalidTypeError: For anything but MetadataFilters.
    """
    if filters is not None and not isinstance(filters, MetadataFilters):
        raise InvalidTypeError(f"filters= takes MetadataFilters, not {type(filters).__name__}.")
    if filters is None or not filters.filters:
        return None
    parts = [where(one) if isinstance(one, MetadataFilters) else _one(one) for one in filters.filters]
    clauses = [part for part in parts if part]
    condition = filters.condition or FilterCondition.AND
    if condition == FilterCondition.NOT:  # none of them
        return _joined("$and", [_opposite(clause) for clause in clauses])
    return _joined(CONDITIONS[condition], clauses)


def _joined(condition: str, clauses: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return {condition: list(clauses)} if len(clauses) > 1 else (clauses[0] if clauses else None)


def _one(one: MetadataFilter) -> dict[str, Any]:
    if one.operator in SEVERAL:
        if not isinstance(one.value, list) or not one.value:
            raise InvalidInputError(f"The operator {one.operator.value!r} takes a list of values, not {one.value!r}.")
        return _joined(SEVERAL[one.operator], [{one.key: {"$contains": value}} for value in one.value]) or {}
    if one.operator == FilterOperator.IS_EMPTY:
        raise InvalidInputError(
            f"Chroma cannot search for records without {one.key!r}; store a value for it, such as an empty string, and "
            "filter by that."
        )
    if one.operator not in OPERATORS:
        known = ", ".join(operator.value for operator in (*OPERATORS, *SEVERAL))
        raise InvalidInputError(
            f"Chroma has no operator {one.operator.value!r}; use one of {known}, or where_document= for the text."
        )
    return {one.key: {OPERATORS[one.operator]: one.value}}


def _opposite(clause: dict[str, Any]) -> dict[str, Any]:
    """What matches just the records that `clause` does not."""
    [(key, value)] = clause.items()
    if key in ("$and", "$or"):
        return {"$or" if key == "$and" else "$and": [_opposite(one) for one in value]}
    [(operator, operand)] = value.items()
    if operator not in OPPOSITES:
        raise InvalidInputError(f"Chroma cannot negate a comparison with {key!r}; turn it round, such as > into <=.")
    return {key: {OPPOSITES[operator]: operand}}
