"""Answers to statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp


@dataclass(frozen=True)
class Rows:
    """The answer to a statement: names and DuckDB types of its columns, and its rows."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]]

    def sql(self) -> str:
        """Return a query of DuckDB that gives the rows."""
        casts = [
            f'cast(column{place} as {kind}) as "{name}"'
            for place, (name, kind) in enumerate(self.columns)
        ]
        rows = self.rows or [[None] * len(self.columns)]
        values = ", ".join(
            "(" + ", ".join(exp.convert(value).sql(dialect="duckdb") for value in row) + ")"
            for row in rows
        )
        names = ", ".join(f"column{place}" for place in range(len(self.columns)))
        where = "" if self.rows else " where false"
        return f"select {', '.join(casts)} from (values {values}) as t({names}){where}"


def texts(names: str) -> list[tuple[str, str]]:
    """Return columns of type VARCHAR; their names stand in one string, with spaces between."""
    return [(name, "varchar") for name in names.split()]


def status(message: str = "Statement executed successfully.") -> Rows:
    """Return the one row that DDL answers with."""
    return Rows(texts("status"), [(message,)])
