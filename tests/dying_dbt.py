"""A dbt that kills itself with SIGKILL, as the system does where memory ends.

    python tests/dying_dbt.py <project's folder> texts 3000
    python tests/dying_dbt.py <project's folder> commit embedding

`texts` dies in the model's function, once more than so many texts have been embedded; `commit`
before the commit of the first change whose SQL holds this word.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "udf_src"))

import tf_embeddings_duckdb
from dbt.cli.main import dbtRunner

if TYPE_CHECKING:
    from dbt_common.events.base_types import EventMsg


def main(folder: str, what: str, limit: str) -> None:
    """Run dbt, and die on the way."""
    if what == "texts":
        die_in_the_function(int(limit))
    has_changed = False

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

    dbtRunner(callbacks=[note]).invoke(
        ["run", "--project-dir", folder, "--profiles-dir", folder, "--quiet"]
    )
    sys.exit("dbt has ended by itself")


def die_in_the_function(limit: int) -> None:
    """Let the plugin's functions die once this many texts have reached them."""
    make = tf_embeddings_duckdb._embed_function
    reached = 0

    def dying(stage: tf_embeddings_duckdb.Stage, path: Path) -> Any:  # noqa: ANN401
        embed = make(stage, path)

        def embed_and_die(texts: Any, tokens_only: Any) -> Any:  # noqa: ANN401
            nonlocal reached
            outcomes = embed(texts, tokens_only)
            reached += len(texts)
            if reached > limit:
                die()
            return outcomes

        return embed_and_die

    tf_embeddings_duckdb._embed_function = dying


def die() -> None:
    """Leave no time for anything."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
