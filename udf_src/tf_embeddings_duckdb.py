"""Makes each artifact of a stage folder a SQL function of DuckDB, in dbt and on any connection.

The dbt-duckdb plugin:

    plugins:
      - module: tf_embeddings_duckdb
        config:
          stage: tf_embeddings_stage    # where artifacts are staged
          cache: …                      # where they are unpacked; default: <stage>/.cache
          threads: 0                    # threads for the models; 0: all cores

Outside dbt, in a notebook or an app:

    connection = duckdb.connect("dev.duckdb")
    tf_embeddings_duckdb.register(connection, stage="tf_embeddings_stage")

`tf_embeddings_<model>_<version>_<build>(text, tokens_only)` returns `STRUCT(embedding FLOAT[n],
token_count INTEGER, is_truncated BOOLEAN, status VARCHAR)`. If `tokens_only` is true, the model
does not run and the embedding is NULL. The first call unpacks and loads the model.

These functions always exist, whatever is in the stage folder:

- `tf_embeddings_check(model, version, build, dimensions)` returns true, or raises a sentence that
  says what is wrong with the pin or its artifact.
- `tf_embeddings_refusal(model, version, build, dimensions)` also has the model embed a word, and
  returns that sentence, or an empty string.
- `tf_embeddings_verify(model, version, build)` recomputes an artifact's golden vectors and returns
  a report as JSON: see `tf_embeddings_udf.verify`.
- `tf_embeddings_staged()` returns the artifacts of the stage folder as JSON: a list of `{model,
  version, build, path, bytes}`, with the path relative to the folder.
- `tf_embeddings_remove(model, version, build)` deletes an artifact and its unpacked copy, and
  returns whether the artifact was there.

A relative `stage` or `cache` starts from the folder that dbt is called in, like dbt-duckdb's own
`path` and `module_paths`; `--project-dir` does not change that.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import threading
from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
from tf_embeddings_stage import Stage, model_and_build, require_packages, stage_of
from tf_embeddings_udf import (
    TfEmbeddingsError,
    cached,
    missing_packages,
    pip_command,
    read_manifest,
    remove,
    stage_command,
    unpack,
)
from tf_embeddings_udf.cores import available_cores
from tf_embeddings_udf.encoders import KINDS
from tf_embeddings_udf.errors import cancellation
from tf_embeddings_udf.verify import report

if TYPE_CHECKING:
    import pyarrow as pa
    from dbt.adapters.contracts.connection import Connection
    from dbt.adapters.duckdb.plugins import BasePlugin
    from tf_embeddings_udf.planner import Outcomes

Answer = TypeVar("Answer")

# The functions that do not belong to an artifact: name -> parameters, return type.
_PIN = {"model": "VARCHAR", "version": "VARCHAR", "build": "VARCHAR"}
_OPERATIONS: dict[str, tuple[Mapping[str, str], str]] = {
    "tf_embeddings_check": ({**_PIN, "dimensions": "INTEGER"}, "BOOLEAN"),
    "tf_embeddings_refusal": ({**_PIN, "dimensions": "INTEGER"}, "VARCHAR"),
    "tf_embeddings_verify": (_PIN, "VARCHAR"),
    "tf_embeddings_staged": ({}, "VARCHAR"),
    "tf_embeddings_remove": (_PIN, "BOOLEAN"),
}

_PLACE = re.compile(r"([a-z][a-z0-9_]{0,39})/(v[0-9a-f]{12})/\1-(b[0-9a-f]{12})\.zip")
_KEYS = {"stage", "cache", "threads"}

# DuckDB keeps a pointer to a Python function while the database is open, but a reference only while
# the connection that registered it is open. Without these references it would call freed memory.
_registered: list[Callable[..., Any]] = []

# Keyed by process, because a forked child lacks its parent's threads, and by number of threads.
_threads: dict[tuple[int, int], ThreadPoolExecutor] = {}


def register(
    connection: duckdb.DuckDBPyConnection,
    stage: str | os.PathLike[str] = "tf_embeddings_stage",
    *,
    cache: str | os.PathLike[str] | None = None,
    threads: int = 0,
) -> None:
    """Register the functions of a stage folder on a connection, as the plugin does for dbt.

    Args:
        connection: a connection of DuckDB's Python package; its cursors get the functions too.
        stage: the folder where `stage_model.py` staged the artifacts.
        cache: where they are unpacked; None for `<stage>/.cache`.
        threads: threads for the models; 0 for all cores.

    Raises:
        TfEmbeddingsError: a Python package is missing, or an argument is not valid.
    """
    if missing := missing_packages(["numpy", "pyarrow"]):
        raise TfEmbeddingsError(
            f"tf_embeddings: Python packages are not installed: {', '.join(missing)}. "
            f"Install them with: {pip_command(*missing)}"
        )
    given: dict[str, Any] = {"stage": os.fspath(stage), "threads": threads}
    if cache is not None:
        given["cache"] = os.fspath(cache)
    _register_all(connection, stage_of(given, "register got"))


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of a module
    """Return dbt-duckdb's class `Plugin`, lazily: `register` works without importing dbt."""
    if name == "Plugin":
        return _plugin()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


@functools.cache
def _plugin() -> type[BasePlugin]:
    from dbt.adapters.duckdb.plugins import BasePlugin

    class Plugin(BasePlugin):
        """Registers the functions on the connection that dbt opens."""

        def initialize(self, plugin_config: dict[str, Any]) -> None:
            """Read the configuration; the stage folder need not exist."""
            # dbt-duckdb mixes the profile's `settings` (DuckDB's) into each plugin's config.
            for plugin in (self.creds.plugins if self.creds else None) or []:
                if (plugin.alias or plugin.module.rpartition(".")[2]) == self.name:
                    plugin_config = plugin.config or {}
            _require_known_keys(plugin_config.keys())
            self._stage = stage_of(plugin_config)
            _cancel_with_dbt()

        def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
            """Register the operations, and a function for each artifact that can be read."""
            if not missing_packages(["numpy"]):  # DuckDB cannot register functions without it
                _register_all(conn, self._stage)

        def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
            """If NumPy is missing, define the operations as SQL macros that say so."""
            if not missing_packages(["numpy"]):
                return
            what = _sql_literal(
                f"tf_embeddings: the Python package 'numpy' is not installed. "
                f"Install what tf_embeddings needs with: {pip_command('numpy')}"
            )
            for name, (parameters, _) in _OPERATIONS.items():
                cursor.execute(
                    f"create or replace temp macro {name}({', '.join(parameters)}) as error({what})"
                )

    return Plugin


@functools.cache
def _cancel_with_dbt() -> None:
    """Make our functions stop when dbt cancels a query, for example on Ctrl-C.

    DuckDB interrupts a query only between two calls of a function, and a call has 2,048 texts.
    """
    with contextlib.suppress(ImportError):  # not a public API: other versions may lack it
        from dbt.adapters.duckdb.environments.local import LocalEnvironment

        cancel = LocalEnvironment.cancel

        def cancel_functions_too(connection: Connection) -> None:
            try:
                cancel(connection)  # first, so that the query starts no other call
            finally:
                cancellation.cancel()

        LocalEnvironment.cancel = staticmethod(cancel_functions_too)  # pyright: ignore[reportAttributeAccessIssue]


def _register_all(conn: duckdb.DuckDBPyConnection, stage: Stage) -> None:
    """Register the operations, and a function for each artifact that can be read.

    An artifact that cannot be read is skipped, because most nodes of a project embed nothing. For
    those that do, `tf_embeddings_check` says what is wrong with it.
    """
    functions = (_check, _refusal, _verify, _staged_as_json, _remove)
    for function, (name, signature) in zip(functions, _OPERATIONS.items(), strict=True):
        parameters, returns = signature
        # Without side_effects DuckDB may call it several times for one row of constants.
        _register(
            conn,
            name,
            functools.partial(function, stage),
            list(parameters.values()),
            conn.sqltype(returns),
            side_effects=True,
        )
    for path in stage.artifacts():
        try:
            manifest = read_manifest(path)
        except TfEmbeddingsError:
            continue
        model, build = model_and_build(path)
        _register(
            conn,
            f"tf_embeddings_{model}_{manifest.version}_{build}",
            _embed_function(stage, path),
            ["VARCHAR", "BOOLEAN"],
            conn.sqltype(
                f"STRUCT(embedding FLOAT[{manifest.dimensions}], token_count INTEGER, "
                f"is_truncated BOOLEAN, status VARCHAR)"
            ),
            type="arrow",
            null_handling="special",
        )


def _require_known_keys(keys: Set[str]) -> None:
    if unknown := sorted(keys - _KEYS):
        raise TfEmbeddingsError(
            f"tf_embeddings: the plugin's config has an unknown key '{unknown[0]}'. Allowed keys: "
            f"{', '.join(sorted(_KEYS))}."
        )


def _sql_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _register(
    conn: duckdb.DuckDBPyConnection,
    name: str,
    function: Callable[..., Any],
    parameters: list[Any],
    returns: Any,  # noqa: ANN401 - duckdb's type is private
    **options: Any,  # noqa: ANN401 - passed on
) -> None:
    _registered.append(function)
    create = functools.partial(conn.create_function, name, function, parameters, returns, **options)
    try:
        create()
    except (duckdb.CatalogException, duckdb.NotImplementedException):
        if not conn.execute(
            "select 1 from duckdb_functions() where function_name = ? limit 1", [name]
        ).fetchall():
            raise
        # The function exists already, maybe for another stage folder.
        try:
            conn.remove_function(name)
        except duckdb.InvalidInputException:
            # Another connection registered it, and only that one can replace it: dbt ran before in
            # this process, and the database stayed open.
            return
        create()


def _embed_function(stage: Stage, path: Path) -> Callable[[Any, Any], Any]:
    """Return the Arrow function of an artifact; DuckDB calls it from several threads at once."""
    model, build = model_and_build(path)

    @functools.cache
    def folder() -> Path:
        return unpack(path, stage.cache, model=model, build=build)

    # Takes pyarrow.ChunkedArrays, returns a StructArray. Not annotated so, because DuckDB evaluates
    # annotations, and pyarrow is imported only when it is needed.
    def embed(texts: Any, tokens_only: Any, canceled: threading.Event) -> Any:  # noqa: ANN401
        embedder = cached(folder(), stage.threads)
        # Converted one by one: with arrow_lossless_conversion, booleans come as Arrow's bool8.
        only = [bool(one) for one in tokens_only.to_pylist()]
        return _to_arrow(embedder.outcomes(texts.to_pylist(), only, canceled))

    def embed_in_own_thread(texts: Any, tokens_only: Any) -> Any:  # noqa: ANN401
        canceled = cancellation.current()  # now: the call may wait for a thread or the model
        return _in_own_thread(stage, functools.partial(embed, texts, tokens_only, canceled))

    return embed_in_own_thread


def _in_own_thread(stage: Stage, call: Callable[[], Answer]) -> Answer:
    """Call in a Python thread, with at most as many at once as the models may use.

    TensorFlow's bindings remember each thread's Python state. DuckDB's threads get a new state for
    each call into Python, so a second call would use the first one's freed state and crash.
    Python's own threads keep theirs.
    """
    key = (os.getpid(), stage.threads or available_cores())
    threads = _threads.get(key)
    if threads is None:
        threads = _threads.setdefault(key, ThreadPoolExecutor(key[1], "tf_embeddings"))
    return threads.submit(call).result()


def _to_arrow(outcomes: Outcomes) -> pa.StructArray:
    """Return the outcomes as an Arrow array, without copying the vectors."""
    import pyarrow as pa

    rows, dimensions = outcomes.embeddings.shape
    no_vector = pa.array(~outcomes.valid)
    vectors = pa.array(outcomes.embeddings.reshape(rows * dimensions))
    return pa.StructArray.from_arrays(
        [
            pa.FixedSizeListArray.from_arrays(vectors, dimensions, mask=no_vector),
            pa.array(outcomes.token_counts, mask=~outcomes.counted),
            pa.array(outcomes.is_truncated, mask=~outcomes.counted),
            pa.array(outcomes.statuses),
        ],
        names=["embedding", "token_count", "is_truncated", "status"],
    )


def _check(stage: Stage, model: str, version: str, build: str, dimensions: int) -> bool:
    """Unpack the artifact of a pin, and return True if it can run.

    Raises:
        TfEmbeddingsError: it is missing or damaged, differs from the pin, or a package is missing.
    """
    path = stage.find(model, version, build)
    manifest = read_manifest(path, f"'{path}'")
    if (manifest.version, manifest.dimensions) != (version, dimensions):
        raise TfEmbeddingsError(
            f"tf_embeddings: the pin of model '{model}' says version {version} and {dimensions} "
            f"dimensions, but its artifact {path.name} has version {manifest.version} and "
            f"{manifest.dimensions} dimensions. Correct the pin in var tf_embeddings_models, or "
            f"write it with: {stage_command(model)}"
        )
    require_packages(manifest, "pyarrow")
    unpack(path, stage.cache, model=model, build=build)
    return True


def _refusal(stage: Stage, model: str, version: str, build: str, dimensions: int) -> str:
    """Return why the model of a pin cannot run; an empty string if it embeds a word."""
    try:
        _check(stage, model, version, build, dimensions)
        path = stage.find(model, version, build)
        folder = unpack(path, stage.cache, model=model, build=build)
        word = KINDS[read_manifest(path).kind].example
        _in_own_thread(stage, lambda: cached(folder, stage.threads).outcomes([word], [False]))
    except Exception as error:  # also what a library raises
        return str(error).removeprefix("tf_embeddings: ") or type(error).__name__
    return ""


def _verify(stage: Stage, model: str, version: str, build: str) -> str:
    """Return the report on the golden vectors of a pin's artifact, as JSON.

    Raises:
        TfEmbeddingsError: the artifact is missing or damaged, has a different version or no golden
            vectors, or a package is missing.
    """
    path = stage.find(model, version, build)
    manifest = read_manifest(path, f"'{path}'")
    if manifest.version != version:
        raise TfEmbeddingsError(
            f"tf_embeddings: the pin of model '{model}' says version {version}, but its artifact "
            f"{path.name} has version {manifest.version}. Correct the pin in var "
            f"tf_embeddings_models, or write it with: {stage_command(model)}"
        )
    require_packages(manifest, "pyarrow")
    folder = unpack(path, stage.cache, model=model, build=build)

    said = _in_own_thread(stage, lambda: report(cached(folder, stage.threads), folder))
    return json.dumps(said, allow_nan=False)


def _staged_as_json(stage: Stage) -> str:
    """Return the artifacts that are in their place, as JSON; a pin finds no others."""
    listed: list[dict[str, Any]] = []
    for path in stage.artifacts():
        place = path.relative_to(stage.folder).as_posix()
        match = _PLACE.fullmatch(place)
        if match is None:
            continue
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            size = path.stat().st_size
            model, version, build = match.groups()
            fields = {"model": model, "version": version, "build": build}
            listed.append({**fields, "path": place, "bytes": size})
    return json.dumps(listed)


def _remove(stage: Stage, model: str, version: str, build: str) -> bool:
    """Delete an artifact, its unpacked copy, and its folders if they are then empty.

    Returns:
        Whether the artifact was there.

    Raises:
        TfEmbeddingsError: this is not an artifact's name, or a link leads out of the stage folder.
    """
    place = f"{model}/{version}/{model}-{build}.zip"
    path = stage.folder / place
    if not _PLACE.fullmatch(place) or _leads_elsewhere(stage, path):
        raise TfEmbeddingsError(
            f"tf_embeddings: '{place}' is not an artifact of the stage folder '{stage.folder}', so "
            f"nothing was removed. select tf_embeddings_staged() lists the artifacts."
        )
    if not path.is_file():
        return False
    remove(path, stage.cache, model=model, version=version, build=build)
    with contextlib.suppress(OSError):  # not empty
        path.parent.rmdir()
        path.parent.parent.rmdir()
    return True


def _leads_elsewhere(stage: Stage, path: Path) -> bool:
    inside = path.parent.relative_to(stage.folder)
    return path.parent.resolve() != stage.folder.resolve() / inside
