"""The process that runs dbt.

    python -m tf_embeddings_staging.warehouse.ask_dbt answer.json run-operation MACRO [dbt's flags]

A separate process, because dbt-duckdb keeps the database open and locked while its process lives,
and building a model may take minutes.
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
    """Run dbt silently; write its log lines and errors as JSON.

    The answer has `success`, `logged` (the lines that macros logged), `errors`, and `missing` (a
    Python package that is not installed, or null). It contains no secret, because the file stays
    behind if its reader is killed.
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
    warnings.simplefilter("ignore")  # the adapters' connectors warn
    try:
        from dbt.cli.main import dbtRunner
    except ModuleNotFoundError as error:
        missing = error.name
    else:
        # Without --no-write-json, dbt overwrites the run_results.json of the user's last run.
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
