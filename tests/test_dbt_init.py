"""A project that `dbt init` of dbt 1.11 or v2 makes: with the README's steps it ends with vectors.

`test_readme.py` does the same with the dbt of this environment.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from smoke_project import environment_of, staging_programs
from snowflake_projects import serve
from test_readme import PROGRAMS, Follower, blocks, call, section, write_tickets


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
    *_, model, tests, _ = blocks(section("## Your own project on DuckDB").partition("\n### ")[0])
    roles, profile, install, build = blocks(section("### Set it up"))
    assert named in call(tmp_path, "dbt --version", programs)
    call(tmp_path, f"{init} --skip-profile-setup", programs)
    folder = tmp_path / "my_project"
    for sample in ("models", "seeds", "macros"):
        shutil.rmtree(folder / sample)
    write_tickets(folder, model.text, tests.text)

    with serve() as server:
        reader = Follower(server, folder)
        reader.execute(roles.text)
        reader.write_profile(profile.text, prod="transformer")
        for command in [*install.text.splitlines(), *build.text.splitlines()]:
            call(folder, command, programs)
        sql = "select id, array_size(embedding::array) from dbt.tickets_embedded order by id"
        assert reader.rows(sql) == [(1, 384), (2, None), (3, 384)]
