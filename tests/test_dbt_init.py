"""A project that `dbt init` of dbt v2 makes: with the README's steps it ends with vectors.

`test_readme.py` does the same with the dbt of this environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from snowflake_projects import serve
from test_readme import PROGRAMS, ROOT, Follower, blocks, call, section

V2 = Path(os.environ.get("TF_EMBEDDINGS_DBT_V2") or Path(sys.prefix) / "dbt-v2").absolute()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the programs of an environment with dbt v2 and what staging needs, but no dbt Core."""
    if not (V2 / "bin" / "dbt").is_file():
        pytest.skip(f"{V2} has no dbt v2: make test-dbt-v2 installs it")
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = sysconfig.get_path("purelib", vars={"base": str(environment)})
    Path(site, "ours.pth").write_text(sysconfig.get_path("purelib"))
    (environment / "bin" / "dbt").symlink_to(V2 / "bin" / "dbt")
    monkeypatch.setenv("XDG_CACHE_HOME", str(V2 / "cache"))
    monkeypatch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")  # for pip
    return environment / "bin"


def test_who_follows_the_snowflake_guide_with_dbt_v2_has_vectors(
    tmp_path: Path, programs: Path
) -> None:
    *_, model, tests, _ = blocks(section("## Your own project on DuckDB").partition("\n### ")[0])
    roles, profile, install, build = blocks(section("### Set it up"))
    assert call(tmp_path, "dbt --version", programs).split()[1].startswith("2.")
    call(tmp_path, "dbt init --project-name my_project --skip-profile-setup", programs)
    folder = tmp_path / "my_project"
    for sample in ("models", "seeds", "macros"):
        shutil.rmtree(folder / sample)
    for place, text in {
        "packages.yml": yaml.safe_dump({"packages": [{"local": str(ROOT)}]}),
        "seeds/tickets.csv": "id,body\n1,My card was stolen\n2,\n3,Hello\n",
        "models/tickets_embedded.sql": model.text,
        "models/tickets_embedded.yml": tests.text,
    }.items():
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text(text)

    with serve() as server:
        reader = Follower(server, folder)
        reader.execute(roles.text)
        reader.write_profile(profile.text, prod="transformer")
        for command in [*install.text.splitlines(), *build.text.splitlines()]:
            call(folder, command, programs)
        sql = "select id, array_size(embedding::array) from dbt.tickets_embedded order by id"
        assert reader.rows(sql) == [(1, 384), (2, None), (3, 384)]
