"""Statements from strangers: exactly one SELECT, of the tables and functions that are offered.

DuckDB parses the statement and tells its parts. That is the first of three fences: the second is DuckDB's own lock
(no external access, fixed configuration), the third the worker's process, which is killed when all else fails.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from embedstore.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 100_000
"""Characters of a statement."""
VIEW = "embeddings"
TABLE_FUNCTIONS = frozenset(
    {"nearest", "nearest_within", "embeddings_in", "embeddings_in_box", "unnest", "range", "generate_series"}
)
"""What may stand in FROM with parentheses."""
REFUSED = frozenset(
    {"current_setting", "getvariable", "getenv", "nextval", "currval", "setseed", "sleep_ms", "write_log"}
    | {"stats", "vector_type", "current_query", "txid_current", "in_search_path", "col_description"}
    | {"obj_description", "shobj_description", "encode_chip", "combine", "finalize"}
)
"""Functions that tell of the server, change it, or take the internal states of others."""
_REFUSED_PREFIXES = ("_", "pg_", "json_serialize", "json_deserialize", "json_execute", "inet_", "has_")
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def check(cursor: Any, statement: str) -> None:
    """Refuse what is not exactly one SELECT over what is offered.

    Parameters
    ----------
    cursor
        A DuckDB cursor, to parse with.
    statement
        The statement.

    Raises
    ------
    SqlError
        Saying what is refused.
    """
    if len(statement) > LONGEST:
        raise SqlError(f"the statement has {len(statement):,} characters; no more than {LONGEST:,} are read.")
    if "\0" in statement:  # the parser would not see what follows
        raise SqlError("the statement holds a NUL character; leave it out.")
    tree = json.loads(cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchone()[0])
    if tree.get("error"):
        if tree.get("error_type") == "parser":
            raise SqlError(f"the statement does not parse: {tree['error_message']}.")
        raise SqlError("only SELECT statements are answered here; give one that begins with SELECT, WITH or FROM.")
    if len(tree["statements"]) != 1:
        raise SqlError(f"there are {len(tree['statements'])} statements; give exactly one SELECT.")
    nodes = list(_nodes(tree["statements"][0]["node"]))
    named = _named_queries(cursor, nodes)
    for node in nodes:
        _check_node(node, named)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a parsed statement; without recursion, however deep it is."""
    waiting = [tree]
    while waiting:
        at = waiting.pop()
        if isinstance(at, dict):
            yield at
            waiting += at.values()
        elif isinstance(at, list):
            waiting += at


def _named_queries(cursor: Any, nodes: list[dict[str, Any]]) -> set[str]:
    """Return the names that WITH gives, none of which may hide, outside its scope, a system view or a file."""
    names = {str(entry["key"]) for node in nodes if "cte_map" in node for entry in node["cte_map"].get("map", ())}
    names |= {str(node["cte_name"]) for node in nodes if node.get("cte_name")}
    taken = {row[0].lower() for row in cursor.execute("SELECT DISTINCT view_name FROM duckdb_views()").fetchall()}
    for name in names:
        if not _PLAIN_NAME.fullmatch(name) or name.lower() in taken:
            raise SqlError(f"a query in WITH cannot have the name {name!r}; give it another of letters and digits.")
    return {name.lower() for name in names}


def _check_node(node: dict[str, Any], named: set[str]) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        name = str(node["table_name"]).lower()
        if node.get("catalog_name") or node.get("schema_name") or name not in named | {VIEW}:
            raise SqlError(f"there is no table {node['table_name']!r} here; the one to select from is {VIEW}.")
    elif kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS:
            raise SqlError(
                f"{name or 'this'} is not offered in FROM; offered are {', '.join(sorted(TABLE_FUNCTIONS))}."
            )
    elif kind == "SHOW_REF" and not (node.get("show_type") == "DESCRIBE" and node.get("query")):
        raise SqlError("of SHOW, SUMMARIZE and DESCRIBE, only DESCRIBE of a query is answered.")
    elif node.get("class") in {"FUNCTION", "WINDOW"}:
        name = str(node.get("function_name", "")).lower()
        if node.get("catalog") or node.get("schema", "main") not in {"", "main"}:
            raise SqlError(f"functions are called by their plain name; write {name}(…).")
        if name in REFUSED or name.startswith(_REFUSED_PREFIXES):
            raise SqlError(f"the function {name} is not offered here.")
