"""Conditions from strangers: a WHERE clause that compares columns, and nothing that could run away.

DuckDB parses the clause and tells its parts; each must be on a list of what is known to take little time and memory a
row. So there are no subqueries, no table functions, and no functions that make large values from small ones.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from embedstore.errors import FilterError

FUNCTIONS = frozenset(
    {"+", "-", "*", "/", "//", "%", "abs", "sign", "round", "floor", "ceil", "sqrt", "ln", "exp", "sin", "cos", "tan"}
    | {"least", "greatest", "coalesce", "year", "month", "day", "hour", "minute", "second", "dayofyear", "dayofweek"}
    | {"week", "quarter", "date_part", "date_trunc", "epoch", "isnan", "isfinite", "hex", "unhex", "lower", "upper"}
    | {"&", "|", "xor", "<<", ">>", "~", "~~", "!~~", "~~*", "!~~*"}
)
"""Functions that a condition may call."""
_OF_VALUES = frozenset({"hex", "unhex"})
"""Of these, those that take a column or a constant alone: nested, each would double what the one before it made."""
_TYPES = frozenset(
    {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
    | {"UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "VARCHAR", "BLOB", "DATE", "TIME", "TIMESTAMP", "INTERVAL"}
    | {"TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}
)
"""Types to cast to. Bits are not among them, each of which is a character as text, nor lists."""
_CLASSES = frozenset(
    {"CONSTANT", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "BETWEEN", "CAST", "CASE", "FUNCTION", "OPERATOR"}
)
_OPERATORS = frozenset(
    {"OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_COALESCE"}
)


def check(where: str) -> None:
    """Refuse a condition that is more than a condition on columns.

    Raises
    ------
    FilterError
        If it does not parse, or holds what is not on the list.
    """
    tree = json.loads(_serialise(where))
    if tree.get("error"):
        raise FilterError(f"the condition {where!r} cannot be read: {tree.get('error_message', 'it is no SQL')}.")
    statements = tree["statements"]
    node = statements[0]["node"]
    plain = json.loads(_serialise("true"))["statements"][0]["node"]
    rest = {name: value for name, value in node.items() if name != "where_clause"}
    if len(statements) != 1 or _shape(rest) != _shape({n: v for n, v in plain.items() if n != "where_clause"}):
        raise FilterError(f"the condition {where!r} is more than a condition; give what may follow WHERE.")
    _check(node["where_clause"], where)


def _serialise(where: str) -> str:
    """Return a query with a condition as DuckDB parses it; it is never run."""
    query = f"SELECT 1 FROM t WHERE ({where}\n)"  # noqa: S608 - parsed only
    text: str = _connection().cursor().execute("SELECT json_serialize_sql(?)", [query]).fetchone()[0]
    return text


@cache
def _connection() -> Any:
    import duckdb  # noqa: PLC0415 - only requests with a condition pay for the import

    return duckdb.connect(config={"enable_external_access": False, "threads": 1})


def _shape(node: Any) -> Any:
    """Return a part of a parsed statement without the places in the text that it came from."""
    if isinstance(node, dict):
        return {name: _shape(value) for name, value in node.items() if name != "query_location"}
    return [_shape(value) for value in node] if isinstance(node, list) else node


def _check(node: Any, where: str) -> None:
    if isinstance(node, list):
        for part in node:
            _check(part, where)
    if not isinstance(node, dict):
        return
    kind = node.get("class")
    if kind is not None:
        name = str(node.get("function_name", "")).lower()
        if kind not in _CLASSES or (kind == "OPERATOR" and node["type"] not in _OPERATORS):
            raise FilterError(f"the condition {where!r} holds {node['type'].lower()}, which is not allowed here.")
        if kind == "FUNCTION" and name not in FUNCTIONS:
            raise FilterError(
                f"the condition {where!r} calls {name}, which is not allowed here; compare columns, or send SQL."
            )
        if name in _OF_VALUES and any(one["class"] not in {"COLUMN_REF", "CONSTANT"} for one in node["children"]):
            raise FilterError(f"the condition {where!r} calls {name} with more than a column or a constant.")
        if kind == "CAST" and node["cast_type"]["id"] not in _TYPES:
            raise FilterError(
                f"the condition {where!r} casts to what is not allowed here; cast to a number, text or time."
            )
        if kind == "CONSTANT":
            return
    for part in node.values():
        _check(part, where)
