"""Write a map as data: a Parquet file, or a table of the warehouse."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tf_embeddings_project import PROJECT_FILE, NotYamlError, load_project
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions, run_dbt
from tf_embeddings_staging.warehouse.target import project_folder

from tf_embeddings_map.reading import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGITS = 6


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


def write_to_warehouse(table: pa.Table, name: str, dbt: DbtOptions) -> None:
    """Write the table into the target's schema, as a seed of a temporary dbt project.

    A seed, because dbt takes no more than 128 KB as an argument.

    Raises:
        StagingError: dbt fails, or the project's file is not YAML.
    """
    project = project_folder(dbt.project_dir)
    with tempfile.TemporaryDirectory(prefix="tf_embeddings_") as given:
        folder = Path(given)
        (folder / "seeds").mkdir()
        _write_csv(table, folder / "seeds" / f"{name}.csv")
        types = {
            column: "double" if pa.types.is_floating(type_) else "varchar"
            for column, type_ in zip(table.column_names, table.schema.types, strict=True)
        }
        config = {"+column_types": types, "+full_refresh": True, "+quote_columns": False}
        definition = {
            "name": "tf_embeddings_map",
            "version": "1.0.0",
            "config-version": 2,
            "profile": dbt.profile or _profile(project),
            "flags": {"send_anonymous_usage_stats": False},
            "seeds": {"tf_embeddings_map": config},
        }
        (folder / "dbt_project.yml").write_text(json.dumps(definition))  # JSON is YAML
        flags = ["--project-dir", str(folder), *_profiles_dir(dbt, project)]
        for flag, value in (("--target", dbt.target), ("--vars", dbt.vars)):
            flags += [flag, value] if value else []
        run_dbt(["seed", "--target-path", str(folder / "target"), *flags])


def _profile(project: Path) -> str:
    """Return the profile that a project names."""
    try:
        named = load_project(project / PROJECT_FILE).content.get("profile")
    except NotYamlError as error:
        raise StagingError(f"{error.file} is not YAML ({error.reason}).") from None
    return str(named or "default")


def _profiles_dir(dbt: DbtOptions, project: Path) -> list[str]:
    """Return the flag for the folder where dbt finds the project's profile."""
    if dbt.profiles_dir:
        return ["--profiles-dir", dbt.profiles_dir]
    if "DBT_PROFILES_DIR" in os.environ:
        return []
    here = [folder for folder in (Path.cwd(), project) if (folder / "profiles.yml").is_file()]
    return ["--profiles-dir", str(here[0])] if here else []


def _write_csv(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.column_names)
        writer.writerows(_lines(table))


def _lines(table: pa.Table) -> Iterator[tuple[object, ...]]:
    yield from zip(*(column.to_pylist() for column in table.columns), strict=True)
