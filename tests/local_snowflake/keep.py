"""An account that survives its server, in a folder: `serve --keep FOLDER`.

Its databases are DuckDB's files, which hold what is committed at any moment. Stages, functions,
roles and grants are written after each statement that may have changed them.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from local_snowflake.account import Account

FORMAT = 2
SUFFIX = ".duckdb"


def _pickled(state: dict[str, Any]) -> bytes:
    while True:
        try:
            return pickle.dumps(state)
        except RuntimeError:  # a concurrent upload or login changed it
            continue


class KeepError(Exception):
    """The folder of an account cannot be used."""


class Keep:
    """The folder of an account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.databases = self.folder / "databases"
        self.files = self.folder / "files"
        self._state = self.folder / "account.pickle"
        self._written = b""
        for place in (self.databases, self.files):
            place.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise KeepError(
                f"{folder} is the account of another local Snowflake that runs. Stop that one, or "
                "give another folder to --keep."
            ) from None

    def database(self, name: str) -> Path:
        """Return the file of a database."""
        return self.databases / f"{quote(name, safe=' ')}{SUFFIX}"

    def names(self) -> list[str]:
        """Return the databases that were kept."""
        return sorted(unquote(path.stem) for path in self.databases.glob(f"*{SUFFIX}"))

    def forget(self, name: str) -> None:
        """Remove the file of a database that was dropped."""
        path = self.database(name)
        for one in (path, path.with_name(f"{path.name}.wal")):
            one.unlink(missing_ok=True)

    def save(self, account: Account) -> None:
        """Save the account's state, except its databases, if it has changed."""
        stages = account.stages.stages.values()
        state = {
            "format": FORMAT,
            "folder": self.files,
            "stages": {stage.name: stage for stage in stages if not stage.temporary},
            "grants": account.grants,
            "functions": account.functions.kept,
        }
        content = _pickled(state)
        if content != self._written:
            new = self._state.with_suffix(".new")
            new.write_bytes(content)
            os.replace(new, self._state)
            self._written = content

    def load(self, account: Account) -> None:
        """Restore an account's state."""
        account.stages.use(self.files)
        if not self._state.is_file():
            return
        state = self._read()
        account.stages.stages = state["stages"]
        for stage in account.stages.stages.values():
            stage.files = {
                path: replace(file, content=self.files / file.content.relative_to(state["folder"]))
                for path, file in stage.files.items()
            }
        account.grants = state["grants"]
        account.functions.kept = state["functions"]
        used = {
            file.content.parent
            for stage in account.stages.stages.values()
            for file in stage.files.values()
        }
        for left in set(self.files.iterdir()) - used:  # left by unfinished uploads
            shutil.rmtree(left, ignore_errors=True)

    def _read(self) -> dict[str, Any]:
        state: dict[str, Any] = {}
        with suppress(Exception):
            state = pickle.loads(self._state.read_bytes())
        if state.get("format") != FORMAT:
            raise KeepError(
                f"{self._state} is of another version of the local Snowflake. Remove "
                f"{self.folder}, or give another folder to --keep."
            )
        return state
