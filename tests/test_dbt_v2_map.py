"""map_embeddings.py through dbt v2, on the local Snowflake."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from duckdb_projects import NAME
from smoke_project import Smoke, staging_programs
from smoke_v2 import ENVIRONMENT, VARIABLES, as_v2
from snowflake_projects import LocalSnowflake, make_snowflake_project
from test_map import MODEL, ON_MAP, SCRIPT, made_rows, snowflake_tickets
from tf_embeddings_map.projection import pca
from tf_embeddings_map.reading import Connection
from tf_embeddings_map.tables import as_table, write_to_warehouse
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.warehouse import dbt_process
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions


def test_dbt_v2_reads_the_rows_and_writes_the_table(
    local_snowflake: LocalSnowflake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = as_v2(snowflake_tickets(tmp_path / "project", local_snowflake))
    programs = staging_programs(tmp_path / "environment", ENVIRONMENT)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    smoke = Smoke(project, programs)
    smoke.call("python", SCRIPT, *MODEL, "--parquet", "map.parquet", "--table", "tickets_map")

    file = duckdb.read_parquet(str(project.folder / "map.parquet"))
    found = file.select("key", "label", "label_2", "text").fetchall()
    expected = sorted((str(row.id), row.category, row.lang, row.body) for row in ON_MAP)
    assert found == expected
    written = project.rows("select key, label, label_2 from dev.tickets_map order by key")
    assert written == [row[:3] for row in expected]


def test_dbt_v2_refuses_to_write_the_table_elsewhere(
    local_snowflake: LocalSnowflake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_snowflake_project(tmp_path / "project", local_snowflake)
    project.execute("create schema dev")
    project.execute("create table dev.tickets_map as select 1 as precious")
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dbt_process, "find_dbt", lambda: ENVIRONMENT / "bin" / "dbt")
    dbt = DbtOptions(profiles_dir=str(project.folder), profile=NAME, target="dev")
    place = {"type": "snowflake", "database": "another"}
    rows = made_rows(9)
    table = as_table(rows, pca(rows.vectors))
    with pytest.raises(StagingError, match="the rows came from a different database than"):
        write_to_warehouse(table, "tickets_map", Connection(dbt, place))
    assert project.rows("select precious from dev.tickets_map") == [(1,)]
