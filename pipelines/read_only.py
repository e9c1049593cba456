"""Let SQL through only if it reads: DuckDB's own parser says what a statement does, and from what.

That the files it may open are those of the output is seen to by DuckDB's settings (`pipelines.tables`). But those don't
tell reading from writing, and DuckDB lets a query write (`WITH x AS (COPY ...) SELECT ...`).
"""

import json
from collections.abc import Iterator
from typing import Any

import duckdb

QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
TABLE_FUNCTIONS = frozenset(
    "range generate_series unnest repeat repeat_row json_each json_tree duckdb_columns duckdb_views".split()
)
"""Table functions that read no file and run no other SQL."""


class NotReadOnlyError(Exception):
    """The SQL is no single query, or one that does more than read."""


def checked(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The SQL, once it is known to be one query that reads.

    Raises:
        NotReadOnlyError: it is none; the message says why.
        duckdb.Error: it can't be parsed.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise NotReadOnlyError(f"one query is wanted, and there are {len(statements)}")
    statement = statements[0]
    if statement.type is duckdb.StatementType.MULTI:
        raise NotReadOnlyError("a PIVOT needs its values here: PIVOT ... ON emotion IN ('happy', 'sad') USING ...")
    if statement.type is not duckdb.StatementType.SELECT:
        raise NotReadOnlyError(f"it is read only: SELECT is allowed, {statement.type.name} is not")
    # Handed over as a value, the text can't be but one value.
    (tree,) = connection.execute("SELECT json_serialize_sql($1)", [statement.query]).fetchone() or ("{}",)
    parsed = json.loads(tree)
    if parsed.get("error", True):
        raise NotReadOnlyError(f"it is read only: {parsed.get('error_message', 'this statement is not understood')}")
    for node in _objects(parsed):
        kind = node.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in QUERY_NODES:
            raise NotReadOnlyError(
                f"it is read only: {kind.removesuffix('_NODE').removesuffix('_QUERY')} is not allowed"
            )
        if kind == "TABLE_FUNCTION":
            name = str(node.get("function", {}).get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS:
                raise NotReadOnlyError(f"{name}() is not allowed: it could read other files, or run other SQL")
    return str(statement.query)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a tree of JSON; without recursion, as the tree is as deep as somebody wants it."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            yield item
            todo += item.values()
        elif isinstance(item, list):
            todo += item
