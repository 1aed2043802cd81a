"""map_embeddings.py through dbt v2, on the local Snowflake."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from smoke_project import Smoke, staging_programs
from smoke_v2 import ENVIRONMENT, VARIABLES, as_v2
from snowflake_projects import LocalSnowflake
from test_map import MODEL, ON_MAP, SCRIPT, snowflake_tickets


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
