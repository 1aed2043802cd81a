"""One dbt project per engine, with the model staged by the real command line; runs of dbt."""

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


def stage(folder: Path, engine: str, texts: Sequence[str]) -> Staged:
    """Stage a model for a project that embeds one text (model `one`) and all texts (`all`)."""
    from duckdb_projects import make_project
    from tf_embeddings_udf import read_manifest, unpack

    project = make_project(
        folder / engine,
        files={
            f"models/{table}.sql": EMBEDDED.format(table=f"texts_{table}")
            for table in ("one", "all")
        },
    )
    project.execute("create table texts_one (text varchar)")
    project.execute("create table texts_all (text varchar)")
    project.insert("texts_one", [(texts[0],)])
    project.insert("texts_all", [(text,) for text in texts])
    command = [f"{SCRIPTS}/stage_model.py", MODEL, "--engine", engine, "--write"]
    _call(*command, *_places(project.folder))
    [artifact] = project.stage.glob(f"{MODEL}/*/{MODEL}-*.zip")
    build = artifact.stem.rpartition("-")[2]
    unpacked = unpack(artifact, folder / "unpacked", model=MODEL, build=build)
    return Staged(project.folder, artifact, read_manifest(artifact).version, unpacked)


def weights() -> Path:
    """Return the folder of the encoder that staging converted."""
    from tf_embeddings_staging.cache import cache_folder

    found = (cache_folder() / "sources").glob(f"{MODEL}-*/model.safetensors")
    return max(found, key=lambda path: path.stat().st_mtime).parent


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
