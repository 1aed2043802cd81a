"""Write a map as data: a Parquet file, or a table of the warehouse."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tf_embeddings_staging.warehouse.dbt_process import run_dbt

from tf_embeddings_map.reading import Connection, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGITS = 6

# The longest field of a seed: the limit of Python's csv, with which dbt reads it.
MOST_LETTERS = 131_072
# Rows in a statement of a seed; it should have at most 1 MB, with its literals:
# https://docs.snowflake.com/en/user-guide/query-size-limits. Half of it: a quote takes two bytes.
_MOST_ROWS = 10_000
_STATEMENT = 500_000
_AROUND = 3  # the quotes and the comma of a literal

# Beside tables.py: the macros of the temporary project. Its gaps get JSON, which Jinja reads too.
_MACROS = "seed.sql"
_REFUSAL = (
    "map_embeddings: the rows came from a different database than the table would be written to. "
    "Name the folder of profiles.yml in --profiles-dir."
)


def as_table(rows: Rows, places: NDArray[np.float64]) -> pa.Table:
    """Return key, x, y, label (label_2, … for more of them) and text, sorted by key."""
    rounded = np.round(places, _DIGITS) + 0.0  # no negative zero
    labels = {_label(number): values for number, values in enumerate(rows.labels)}
    return pa.table(
        {
            "key": pa.array(rows.keys, pa.string()),
            "x": pa.array(rounded[:, 0]),
            "y": pa.array(rounded[:, 1]),
            **{name: pa.array(values, pa.string()) for name, values in labels.items()},
            "text": pa.array(rows.texts, pa.string()),
        }
    )


def _label(number: int) -> str:
    return f"label_{number + 1}" if number else "label"


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write the table: the same bytes for the same rows and version of pyarrow."""
    pq.write_table(table, path, compression="zstd")


def write_to_warehouse(table: pa.Table, name: str, connection: Connection) -> int:
    """Write the table into the target's schema, as a seed of a temporary dbt project.

    A seed, because dbt takes no more than 128 KB as an argument. The seed refuses any other place
    than the one that the rows came from, where the macro has checked the name.

    Returns:
        how many texts, keys and labels were cut, because a seed takes no longer ones.

    Raises:
        StagingError: dbt fails.
    """
    dbt = connection.dbt
    whole = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    with tempfile.TemporaryDirectory(prefix="tf_embeddings_") as given:
        folder = Path(given)
        for each in ("seeds", "macros"):
            (folder / each).mkdir()
        lines = [tuple(map(_fitting, line)) for line in whole]
        _write_csv(table.column_names, lines, folder / "seeds" / f"{name}.csv")
        macros = Template(Path(__file__).with_name(_MACROS).read_text(encoding="utf-8"))
        text = macros.substitute(
            place=json.dumps(dict(connection.place)),
            refusal=json.dumps(_REFUSAL),
            rows=batch_size(lines),
        )
        (folder / "macros" / _MACROS).write_text(text, encoding="utf-8")
        types = {
            column: "double" if pa.types.is_floating(type_) else "varchar"
            for column, type_ in zip(table.column_names, table.schema.types, strict=True)
        }
        config = {
            "+column_types": types,
            "+full_refresh": True,
            "+pre-hook": "{{ require_the_place() }}",
            "+quote_columns": False,
        }
        definition = {
            "name": "tf_embeddings_map",
            "version": "1.0.0",
            "config-version": 2,
            "profile": dbt.profile,
            "flags": {"send_anonymous_usage_stats": False},
            "seeds": {"tf_embeddings_map": config},
        }
        (folder / "dbt_project.yml").write_text(json.dumps(definition))  # JSON is YAML
        flags = replace(dbt, project_dir=str(folder)).flags()
        run_dbt(["seed", "--target-path", str(folder / "target"), *flags])
    return sum(_fitting(value) != value for line in whole for value in line)


def _fitting(value: object) -> object:
    return value[:MOST_LETTERS] if isinstance(value, str) else value


def batch_size(lines: Sequence[Sequence[object]]) -> int:
    """Return how many rows a statement of a seed has, so that none is longer than it should be."""
    sizes = [sum(len(str(value).encode()) + _AROUND for value in line) for line in lines]
    rows = _MOST_ROWS
    while rows > 1 and any(
        sum(sizes[start : start + rows]) > _STATEMENT for start in range(0, len(sizes), rows)
    ):
        rows //= 2
    return rows


def _write_csv(names: Sequence[str], lines: Sequence[Sequence[object]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(lines)
