"""Put an artifact on a Snowflake stage: a macro does it, through dbt's own connection."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tf_embeddings_staging.building.artifact import Artifact
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions, run_macro
from tf_embeddings_staging.warehouse.stage import Outcome

# PUT reads * ? [ ] as patterns, and quotes and backslashes as in SQL.
_PLAIN = re.compile(r"[\w .:/+,=@-]+")


def put(
    artifact: Artifact, dbt: DbtOptions, *, dry_run: bool, resolved: Sequence[str] = ()
) -> Outcome:
    """Put an artifact on the stage unless it is there; safe to repeat and to run concurrently.

    Nothing is put unless its packages resolve; `resolved` are those that do.

    Raises:
        StagingError: the warehouse refuses, or the file on the stage has a different size.
    """
    with _plain_path(artifact.path) as path:
        answer = run_macro(
            dbt,
            "_staging_put",
            {
                "path": path,
                "model": artifact.model,
                "pin": artifact.pin(),
                "bytes": artifact.path.stat().st_size,
                "dry_run": dry_run,
                "resolved": list(resolved),
            },
            log_file=False,
        )
    return Outcome(answer["place"], answer["was_there"], answer["size"], tuple(answer["broken"]))


@contextmanager
def _plain_path(file: Path) -> Iterator[str]:
    """Give a path to the file that PUT can read.

    If the path has characters that are special to PUT, this is a temporary link to the file (a copy
    where the system has no links), in a folder with a plain name.
    """
    if _PLAIN.fullmatch(file.as_posix()):
        yield file.as_posix()
        return
    with tempfile.TemporaryDirectory(prefix="tf_embeddings_") as folder:
        other = Path(folder).resolve() / file.name
        for link in (os.symlink, os.link, shutil.copyfile):
            try:
                link(file, other)
                break
            except OSError:
                if link is shutil.copyfile:
                    raise
        yield other.as_posix()
