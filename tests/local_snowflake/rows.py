"""Answers to statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fakesnow.arrow
import pyarrow as pa
from sqlglot import exp

_timestamps = fakesnow.arrow.timestamp_to_sf_struct


def install() -> None:
    """Make fakesnow's server return NULL, not 1970, for a NULL timestamp."""
    fakesnow.arrow.timestamp_to_sf_struct = _timestamps_with_nulls


def _timestamps_with_nulls(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    answer = _timestamps(column)
    parts = [part.fill_null(0) for part in answer.flatten()]
    mask = pa.array(column.is_null().to_pylist(), pa.bool_())
    return pa.StructArray.from_arrays(parts, fields=list(answer.type), mask=mask)


@dataclass(frozen=True)
class Rows:
    """The answer to a statement: its columns' names and DuckDB types, and its rows."""

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
    """Return columns of type VARCHAR from a string of names with spaces between."""
    return [(name, "varchar") for name in names.split()]


def status(message: str = "Statement executed successfully.") -> Rows:
    """Return the single row that answers DDL."""
    return Rows(texts("status"), [(message,)])
