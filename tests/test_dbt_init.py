"""A project that `dbt init` of dbt 1.11 or v2 makes: with the guides' steps it ends with vectors.

`test_pages.py` does the same with the dbt of this environment.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pages import PROGRAMS, ROOT, Block, Place, Reader, parse
from smoke_project import environment_of, staging_programs

DUCKDB = "docs/get-started/duckdb.md"
SNOWFLAKE = "docs/get-started/snowflake.md"
TWO_ROLES = (ROOT / SNOWFLAKE).read_text("utf-8").partition("\n## One role stages")[0].count("\n")


@pytest.mark.parametrize(
    ("version", "named", "init"),
    [
        ("1.11", "installed: 1.11.", "dbt init my_project --profiles-dir ."),
        ("v2", "dbt-fusion 2.", "dbt init --project-name my_project"),
    ],
    ids=["1.11", "v2"],
)
def test_who_follows_the_snowflake_guide_has_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, named: str, init: str
) -> None:
    environment = environment_of(version)
    programs = staging_programs(tmp_path / "environment", environment)
    monkeypatch.setenv("XDG_CACHE_HOME", str(environment / "cache"))
    monkeypatch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    monkeypatch.setenv("DBT_USE_COLORS", "false")
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")  # for pip
    assert named in run(programs, tmp_path, "dbt --version")
    run(programs, tmp_path, f"{init} --skip-profile-setup")
    folder = tmp_path / "my_project"
    for sample in ("models", "seeds", "macros"):
        shutil.rmtree(folder / sample)
        (folder / sample).mkdir()

    place = Place(tmp_path / "place")
    with Reader(place, folder, programs) as reader:
        for page in (DUCKDB, SNOWFLAKE):
            for block in parse(page):
                if isinstance(block, Block) and is_needed(block):
                    reader.follow(block)
        sql = """
            select count(*), count(embedding), max(array_size(embedding::array))
            from dbt.tickets_embedded
        """
        assert reader.server().execute(sql, database="analytics") == [(150, 149, 384)]


def is_needed(block: Block) -> bool:
    """Whether a block is a step of who uses only Snowflake, with one role."""
    if block.page == DUCKDB:
        steps = ("dbt deps", "cp ", "packages:", "vars:", "{{ config", "models:")
        return block.text.startswith(steps) and block.title != "models/titles_embedded.sql"
    return block.line < TWO_ROLES and (
        block.language == "sh" or block.title in ("Snowflake", "profiles.yml")
    )


def run(programs: Path, folder: Path, command: str) -> str:
    return Reader(Place(folder), folder, programs).call(command)
