"""A dbt project per model and engine, staged by the real command line; runs of dbt."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from process import Cost

ROOT = Path(__file__).resolve().parents[1]
UDF_SRC, TESTS, SCRIPTS = (str(ROOT / name) for name in ("udf_src", "tests", "scripts"))
sys.path[:0] = [UDF_SRC, TESTS, SCRIPTS]

MODEL = "minilm"
EMBEDDED = "select {{{{ tf_embeddings.embed('text') }}}} as embedding from {table}"


@dataclass(frozen=True)
class Staged:
    """A project, its staged artifact, and where that is unpacked."""

    project: Path
    artifact: Path
    version: str
    unpacked: Path

    @property
    def model(self) -> Path:
        """The model's folder."""
        return self.unpacked / "model"

    @property
    def tokenizer(self) -> str:
        """The model's tokenizer file."""
        return str(self.model / "tokenizer.json")

    def run(self, model: str) -> Cost:
        """Run dbt on one model, in its own process."""
        before, started = _cpu(), time.perf_counter()
        _call("-m", "dbt.cli.main", "run", "--quiet", "--select", model, *_places(self.project))
        return Cost(time.perf_counter() - started, _cpu() - before)


def stage(folder: Path, engine: str, texts: Sequence[str], model: str = MODEL) -> Staged:
    """Stage a model for a project that embeds one text (model `one`) and all texts (`all`)."""
    from duckdb_projects import make_project
    from tf_embeddings_udf import read_manifest, unpack

    project = make_project(
        folder / f"{model}_{engine}",
        files={
            f"models/{table}.sql": EMBEDDED.format(table=f"texts_{table}")
            for table in ("one", "all")
        },
    )
    with duckdb.connect(str(project.database)) as connection:
        for table, rows in (("texts_one", [texts[0]]), ("texts_all", list(texts))):
            connection.execute(f"create table {table} as select unnest(?) as text", [rows])
    command = [f"{SCRIPTS}/stage_model.py", model, "--engine", engine, "--write"]
    _call(*command, *_places(project.folder))
    [artifact] = project.stage.glob(f"{model}/*/{model}-*.zip")
    build = artifact.stem.rpartition("-")[2]
    unpacked = unpack(artifact, folder / "unpacked", model=model, build=build)
    return Staged(project.folder, artifact, read_manifest(artifact).version, unpacked)


def weights(model: str = MODEL) -> Path:
    """Return the folder of the encoder that staging converted."""
    from tf_embeddings_staging.cache import cache_folder
    from tf_embeddings_staging.catalogue import catalogue
    from tf_embeddings_staging.fetching.fetch import materialize
    from tf_embeddings_staging.options import Limits
    from tf_embeddings_staging.progress import Report

    return materialize(catalogue()[model], cache_folder(), Report(), Limits()).path


def _places(project: Path) -> list[str]:
    return ["--project-dir", str(project), "--profiles-dir", str(project)]


def _call(*arguments: str) -> None:
    environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
