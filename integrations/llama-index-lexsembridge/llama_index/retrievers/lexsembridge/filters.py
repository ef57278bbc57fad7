"""LlamaIndex's metadata filters in Chroma's `where` language."""

from __future__ import annotations

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
CONDITIONS = {FilterCondition.AND: "$and", FilterCondition.OR: "$or"}


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
    if condition not in CONDITIONS:
        raise InvalidInputError(f"Chroma has no condition {condition.value!r}; use and, or, or the operator nin.")
    return {CONDITIONS[condition]: clauses} if len(clauses) > 1 else (clauses[0] if clauses else None)


def _one(one: MetadataFilter) -> dict[str, Any]:
    if one.operator not in OPERATORS:
        known = ", ".join(operator.value for operator in OPERATORS)
        raise InvalidInputError(f"Chroma has no operator {one.operator.value!r}; use one of {known}.")
    return {one.key: {OPERATORS[one.operator]: one.value}}
