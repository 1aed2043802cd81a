"""A dbt that kills itself with SIGKILL, as the system does when memory runs out.

    python tests/dying_dbt.py <project's folder> texts 3000
    python tests/dying_dbt.py <project's folder> commit embedding
    python tests/dying_dbt.py <project's folder> ctrl-c 3000

`texts` dies in the model's function, once more than so many texts have reached it; `commit` before
the commit of the first change whose SQL holds this word. `ctrl-c` is a user's, in the function, and
dies only where dbt does not cancel what runs in it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "udf_src"))

from counting import watched
from dbt.cli.main import dbtRunner
from tf_embeddings_udf.errors import cancellation

if TYPE_CHECKING:
    from dbt_common.events.base_types import EventMsg


def main(folder: str, what: str, limit: str) -> None:
    """Run dbt, and die on the way."""
    reached = 0
    has_changed = False

    def note_texts(texts: list[str | None]) -> None:
        nonlocal reached
        reached += len(texts)
        if what == "texts" and reached > int(limit):
            die()
        if what == "ctrl-c" and reached > int(limit):
            canceled = cancellation.current()
            os.kill(os.getpid(), signal.SIGINT)
            if not canceled.wait(timeout=60):
                die()

    def note(event: EventMsg) -> None:
        nonlocal has_changed
        info: Any = event.info  # protobuf's attributes are not typed
        data: Any = event.data
        if what != "commit" or info.name != "SQLQuery":
            return
        sql = data.sql.partition("*/")[2].lower().split() or data.sql.lower().split()
        if has_changed and sql[0] == "commit":
            die()
        has_changed |= sql[:2] in (["create", "table"], ["insert", "into"]) and limit in data.sql

    # A job of a shell's background ignores it, and so does what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with watched(note_texts):
        done = dbtRunner(callbacks=[note]).invoke(
            ["run", "--project-dir", folder, "--profiles-dir", folder, "--quiet"]
        )
    print(repr(done.exception))
    sys.exit("dbt has ended by itself")


def die() -> None:
    """Leave no time for anything."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
