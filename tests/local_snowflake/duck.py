"""Names that need quotes: fakesnow writes some into DuckDB's SQL without them."""

from __future__ import annotations

import re
from typing import Any

from duckdb import DuckDBPyConnection
from fakesnow import info_schema

from local_snowflake.statements import duck

CATALOG = re.compile(r"(DELETE FROM )(.+)(\._fs_information_schema\._fs_load_history )")
_table_comment = info_schema.insert_table_comment_sql
_text_lengths = info_schema.insert_text_lengths_sql


def install() -> None:
    """Make fakesnow escape names in string constants."""
    info_schema.insert_table_comment_sql = _escaped_table_comment
    info_schema.insert_text_lengths_sql = _escaped_text_lengths


def _escaped_table_comment(catalog: str, schema: str, table: str, comment: str) -> str:
    return _table_comment(*(_escaped(text or "") for text in (catalog, schema, table, comment)))


def _escaped_text_lengths(
    catalog: str, schema: str, table: str, text_lengths: list[tuple[str, int]]
) -> str:
    lengths = [(_escaped(column), size) for column, size in text_lengths]
    return _text_lengths(_escaped(catalog), _escaped(schema), _escaped(table), lengths)


def _escaped(text: str) -> str:
    return text.replace("'", "''")


class Connection:
    """A DuckDB connection for fakesnow that adds the missing quotes."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._connection, name)

    def execute(self, sql: str, *args: Any) -> DuckDBPyConnection:  # noqa: ANN401
        """Run a statement."""
        found = CATALOG.match(sql)
        if found:
            sql = found[1] + duck(found[2]) + found[3] + sql[found.end() :]
        return self._connection.execute(sql, *args)
