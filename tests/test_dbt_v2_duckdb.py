"""What dbt v2 says of a project on DuckDB, where it loads no Python plugins.

`make test-dbt-v2` runs it. The driver that v2 would download is DuckDB's own library, from its
wheel; the wheel leaves the symbols of Python open, so Python's library is loaded before it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import duckdb
import pytest
from duckdb_projects import Project, make_project
from makers import Artifact
from smoke_project import environment_of

ENVIRONMENT = environment_of("v2")
PYTHON = Path(sysconfig.get_config_var("LIBDIR") or "", str(sysconfig.get_config_var("LDLIBRARY")))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where v2 finds its driver."""
    if PYTHON.suffix != ".so":
        pytest.skip("needs a Python with a shared library, to load DuckDB's driver without it")
    [driver] = Path(duckdb.__file__).parents[1].glob("_duckdb.*.so")
    cache = tmp_path_factory.mktemp("cache")
    place = cache / "com.getdbt/adbc/x86_64-manylinux_2_17-linux-gnu"
    place.mkdir(parents=True)
    shutil.copyfile(driver, place / "libadbc_driver_duckdb-1.5.4.so")
    return cache


@pytest.fixture(scope="module")
def project(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that embeds."""
    sql = "{{ config(materialized='table') }} select {{ tf_embeddings.embed(\"'fox'\") }} as v"
    folder = tmp_path_factory.mktemp("duckdb") / "project"
    return make_project(folder, artifacts=[tiny], files={"models/a.sql": sql})


@pytest.mark.parametrize("command", ["build", "compile", "run-operation tf_embeddings.status"])
def test_it_says_which_dbt_to_use(project: Project, cache: Path, command: str) -> None:
    done = subprocess.run(
        [str(ENVIRONMENT / "bin" / "dbt"), *command.split(), "--profiles-dir", "."],
        cwd=project.folder,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "LD_PRELOAD": str(PYTHON)},
        capture_output=True,
        text=True,
        check=False,
    )

    macro = "status" if "status" in command else "embed"
    assert done.returncode == 1
    assert (
        f"{macro}: dbt 2.0.0 loads no Python plugins, so models cannot run on DuckDB. Use dbt "
        'Core 1.x there: pip install "dbt-core>=1.11,<2" dbt-duckdb'
    ) in done.stdout + done.stderr
