"""dbt v2 for tests: a project on the local Snowflake whose dbt is v2's executable.

project = as_v2(make_snowflake_project(tmp_path, local_snowflake, artifacts=[tiny]))
run = project.dbt("build")
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckdb_projects import Run
from smoke_project import environment_of
from snowflake_projects import SnowflakeProject

# An environment with dbt v2 and, in its folder `cache`, the Snowflake driver that v2 looks for.
ENVIRONMENT = environment_of("v2")
VARIABLES = {
    "XDG_CACHE_HOME": str(ENVIRONMENT / "cache"),
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
}


@dataclass(frozen=True)
class V2Project(SnowflakeProject):
    """A project on the local Snowflake, built by dbt v2 in a process of its own."""

    def dbt(self, *arguments: str, elsewhere: Path | None = None) -> Run:
        """Call dbt v2 in the project's folder, or elsewhere; `statements` stays empty."""
        folder = str(self.folder)
        places = ["--profiles-dir", folder, *(["--project-dir", folder] if elsewhere else [])]
        results = self.folder / "target" / "run_results.json"
        if arguments[0] != "retry":  # which reads it
            results.unlink(missing_ok=True)
        process = subprocess.run(
            [str(ENVIRONMENT / "bin" / "dbt"), *arguments, *places, "--log-format", "json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=elsewhere or folder,
            env={**os.environ, **VARIABLES},
        )
        run = Run(success=process.returncode == 0)
        for line in process.stdout.splitlines():
            if line.startswith("{"):
                _note(run, json.loads(line))
        if results.is_file():
            content = json.loads(results.read_text(encoding="utf-8"))
            run.statuses = {one["unique_id"]: one["status"] for one in content["results"]}
        return run


def as_v2(project: SnowflakeProject) -> V2Project:
    """Return the same project, for dbt v2."""
    return V2Project(project.folder, project.server, project.name)


def _note(run: Run, event: dict[str, Any]) -> None:
    """Add an event of dbt's log to what a run did."""
    info = event["info"]
    message = info["msg"].partition("\n   0: <unknown>")[0]
    run.messages.append(message)
    if info["level"] != "debug":
        run.printed.append(message)
    if info["level"] == "error":
        run.errors.append(message)
    if info["name"] == "PrintEvent":
        run.said.extend(message.splitlines())
