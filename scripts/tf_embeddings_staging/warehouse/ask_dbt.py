"""The process that runs dbt.

    python -m tf_embeddings_staging.warehouse.ask_dbt answer.json run-operation MACRO [dbt's flags]

It is a process of its own because dbt-duckdb keeps the database open, and locked, for as long as
the process lives, and the building of a model may take minutes.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tf_embeddings_staging.redaction import without_secrets
from tf_embeddings_staging.warehouse.upload_progress import Upload


def main(answer: Path, command: Sequence[str]) -> None:
    """Run dbt in silence; write what it logged and its errors as JSON.

    The answer has `success`, `logged` (the lines that macros logged), `errors`, and `missing` (a
    Python package that is not installed, or null). No secret is in it: the file stays where it is
    if the process that reads it is killed.
    """
    logged: list[str] = []
    errors: list[str] = []
    upload = Upload()

    def hear(event: Any) -> None:  # noqa: ANN401 - a protobuf message
        if event.info.name == "JinjaLogInfo":
            logged.append(event.info.msg)
            upload.hear(event.info.msg)
        elif event.info.level == "error":
            errors.append(without_secrets(event.info.msg))

    success, missing = False, None
    warnings.simplefilter("ignore")  # of the adapters' connectors
    try:
        from dbt.cli.main import dbtRunner
    except ModuleNotFoundError as error:
        missing = error.name
    else:
        # write-json would overwrite the run_results.json of the user's last run.
        silence = ("--quiet", "--no-print", "--log-level", "none", "--no-write-json")
        with upload:
            outcome = dbtRunner(callbacks=[hear]).invoke([*silence, *command])
        success = outcome.success
        if outcome.exception is not None:
            errors.append(without_secrets(str(outcome.exception)))
    told = {"success": success, "logged": logged, "errors": errors, "missing": missing}
    answer.write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2:])
