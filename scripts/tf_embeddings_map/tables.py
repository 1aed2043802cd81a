"""Write a map as data: a Parquet file, or a table of the warehouse."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tf_embeddings_staging.warehouse.dbt_process import run_dbt

from tf_embeddings_map.reading import Connection, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGITS = 6

# Of the temporary project. The braces of JSON are those of a dict in Jinja too.
_PLACE = """\
{%% macro require_the_place() %%}
  {%% set place = %s %%}
  {%% for part, value in place.items() if execute and (target.get(part) | string) != value %%}
    {%% do exceptions.raise_compiler_error(
      "map_embeddings: the rows came from " ~ part ~ " '" ~ value ~ "', but dbt would write the "
      ~ "table to '" ~ target.get(part) ~ "'. Name the folder of profiles.yml in --profiles-dir."
    ) %%}
  {%% endfor %%}
{%% endmacro %%}
"""


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


def write_to_warehouse(table: pa.Table, name: str, connection: Connection) -> None:
    """Write the table into the target's schema, as a seed of a temporary dbt project.

    A seed, because dbt takes no more than 128 KB as an argument. The seed refuses any other place
    than the one that the rows came from, where the macro has checked the name.

    Raises:
        StagingError: dbt fails.
    """
    dbt = connection.dbt
    with tempfile.TemporaryDirectory(prefix="tf_embeddings_") as given:
        folder = Path(given)
        for each in ("seeds", "macros"):
            (folder / each).mkdir()
        _write_csv(table, folder / "seeds" / f"{name}.csv")
        (folder / "macros" / "place.sql").write_text(_PLACE % json.dumps(dict(connection.place)))
        types = {
            column: "double" if pa.types.is_floating(type_) else "varchar"
            for column, type_ in zip(table.column_names, table.schema.types, strict=True)
        }
        config = {"+column_types": types, "+full_refresh": True, "+quote_columns": False}
        definition = {
            "name": "tf_embeddings_map",
            "version": "1.0.0",
            "config-version": 2,
            "profile": dbt.profile,
            "flags": {"send_anonymous_usage_stats": False},
            "on-run-start": "{{ require_the_place() }}",
            "seeds": {"tf_embeddings_map": config},
        }
        (folder / "dbt_project.yml").write_text(json.dumps(definition))  # JSON is YAML
        flags = replace(dbt, project_dir=str(folder)).flags()
        run_dbt(["seed", "--target-path", str(folder / "target"), *flags])


def _write_csv(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.column_names)
        writer.writerows(_lines(table))


def _lines(table: pa.Table) -> Iterator[tuple[object, ...]]:
    yield from zip(*(column.to_pylist() for column in table.columns), strict=True)
