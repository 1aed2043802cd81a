"""Building an artifact as on another machine: a process with its own home, locale, clock, CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tf_embeddings_staging.building.artifact import Artifact, read_artifact

_REPOSITORY = Path(__file__).parents[1]


def build_elsewhere(source: str, name: str, machine: Path, options: str = "Options()") -> Artifact:
    """Build in a process of another machine, and return the artifact.

    Args:
        source: Python for what `build` takes, such as `Local(Path('model'))`.
        name: the model's name.
        machine: the folder of this machine: its home, its cache, and where it works.
        options: Python for the options.
    """
    for part in ("home", "cache", "work"):
        (machine / part).mkdir(parents=True, exist_ok=True)
    code = (
        "from pathlib import Path\n"
        "from tf_embeddings_staging.building.build import build\n"
        "from tf_embeddings_staging.cache import cache_folder\n"
        "from tf_embeddings_staging.catalogue import catalogue\n"
        "from tf_embeddings_staging.options import Options\n"
        "from tf_embeddings_staging.progress import Report\n"
        "from tf_embeddings_staging.sources import Local\n"
        f"artifact = build({source}, {name!r}, cache_folder(), Report(), {options})\n"
        "print(artifact.path)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **_environment(machine)},
        cwd=machine / "work",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert machine in path.parents
    return read_artifact(path)


def _environment(machine: Path) -> dict[str, str]:
    """An old CPU, an ASCII locale, another time zone, and other orders of sets."""
    return {
        "HOME": str(machine / "home"),
        "LC_ALL": "C",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": os.pathsep.join(map(str, (_REPOSITORY / "scripts", _REPOSITORY / "udf_src"))),
        "PYTHONUTF8": "0",
        "TF_EMBEDDINGS_CACHE": str(machine / "cache"),
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TZ": "Pacific/Auckland",
        "USER": "somebody",
    }
