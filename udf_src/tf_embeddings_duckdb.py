"""Each artifact of a stage folder becomes a SQL function of DuckDB: in dbt, and in any connection.

The dbt-duckdb plugin:

    plugins:
      - module: tf_embeddings_duckdb
        config:
          stage: tf_embeddings_stage    # where artifacts are staged
          cache: …                      # where they are unpacked: <stage>/.cache
          threads: 0                    # the models' threads; 0: all cores

Outside dbt, in a notebook or an app:

    connection = duckdb.connect("dev.duckdb")
    tf_embeddings_duckdb.register(connection, stage="tf_embeddings_stage")

`tf_embeddings_<model>_<version>_<build>(text, tokens_only)` answers `STRUCT(embedding FLOAT[n],
token_count INTEGER, is_truncated BOOLEAN, status VARCHAR)`; where `tokens_only` is true the model
does not run and the embedding is NULL. The model is unpacked and loaded at the first call.
`tf_embeddings_check(model, version, build, dimensions)` answers true, or raises the sentence that
says what is wrong with a pin or its artifact; `tf_embeddings_refusal` takes the same, has the model
embed a word as well, and answers that sentence, or nothing.
`tf_embeddings_verify(model, version, build)` recomputes the golden vectors of an artifact and
answers the report as JSON: see `tf_embeddings_udf.verify`. `tf_embeddings_staged()` answers the
artifacts of the stage folder as JSON: a list of `{model, version, build, path, bytes}`, the path
relative to it. `tf_embeddings_remove(model, version, build)` deletes one of them and what was
unpacked from it, and answers whether it was there. These functions exist whatever the stage folder
holds.

A relative `stage` or `cache` starts from the folder that dbt is called in, as dbt-duckdb's own
`path` and `module_paths` do; `--project-dir` does not move it.
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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
from tf_embeddings_udf import (
    Manifest,
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
from tf_embeddings_udf.errors import cancellation
from tf_embeddings_udf.verify import report

if TYPE_CHECKING:
    import pyarrow as pa
    from dbt.adapters.contracts.connection import Connection
    from dbt.adapters.duckdb.plugins import BasePlugin
    from tf_embeddings_udf.planner import Outcomes

Answer = TypeVar("Answer")

# The operations and their parameters; they exist whatever the stage folder holds.
_PIN = {"model": "VARCHAR", "version": "VARCHAR", "build": "VARCHAR"}
_OPERATIONS: dict[str, tuple[Mapping[str, str], str]] = {
    "tf_embeddings_check": ({**_PIN, "dimensions": "INTEGER"}, "BOOLEAN"),
    "tf_embeddings_refusal": ({**_PIN, "dimensions": "INTEGER"}, "VARCHAR"),
    "tf_embeddings_verify": (_PIN, "VARCHAR"),
    "tf_embeddings_staged": ({}, "VARCHAR"),
    "tf_embeddings_remove": (_PIN, "BOOLEAN"),
}

_FILE_NAME = re.compile(r"([a-z][a-z0-9_]{0,39})-(b[0-9a-f]{12})\.zip")
_PLACE = re.compile(r"([a-z][a-z0-9_]{0,39})/(v[0-9a-f]{12})/\1-(b[0-9a-f]{12})\.zip")
_KEYS = {"stage", "cache", "threads"}
_MOST_FILES_LISTED = 5

# DuckDB keeps a pointer to a Python function for as long as the database is open, but a reference
# only as long as the connection that registered it: without these it calls freed memory.
_registered: list[Callable[..., Any]] = []

# By process and number of threads: a forked child does not have its parent's threads.
_threads: dict[tuple[int, int], ThreadPoolExecutor] = {}


@dataclass(frozen=True)
class Stage:
    """The stage folder, and where and how its artifacts are run."""

    folder: Path
    cache: Path
    threads: int

    def artifacts(self) -> list[Path]:
        """Return the artifacts' files, `<model>/<version>/<model>-<build>.zip`, sorted."""
        found = self.folder.glob("*/*/*.zip")
        return sorted(path for path in found if _FILE_NAME.fullmatch(path.name))


def register(
    connection: duckdb.DuckDBPyConnection,
    stage: str | os.PathLike[str] = "tf_embeddings_stage",
    *,
    cache: str | os.PathLike[str] | None = None,
    threads: int = 0,
) -> None:
    """Give a connection the functions of the artifacts in a stage folder, as dbt's have them.

    Args:
        connection: any connection of DuckDB's Python package; its cursors have the functions too.
        stage: the folder where `stage_model.py` staged the artifacts.
        cache: where they are unpacked; None for `<stage>/.cache`.
        threads: the models' threads; 0 for all cores.

    Raises:
        TfEmbeddingsError: a Python package is missing, or an argument is not what it must be.
    """
    if missing := missing_packages(["numpy", "pyarrow"]):
        raise TfEmbeddingsError(
            f"tf_embeddings: Python packages are not installed: {', '.join(missing)}. "
            f"Install them with: {pip_command(*missing)}"
        )
    given: dict[str, Any] = {"stage": os.fspath(stage), "threads": threads}
    if cache is not None:
        given["cache"] = os.fspath(cache)
    _register_all(connection, _stage(given, "register got"))


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of a module
    """Give dbt-duckdb its class `Plugin`: an app that only registers does not wait for dbt."""
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
            # dbt-duckdb mixes the profile's `settings`, DuckDB's own, into each plugin's config.
            for plugin in (self.creds.plugins if self.creds else None) or []:
                if (plugin.alias or plugin.module.rpartition(".")[2]) == self.name:
                    plugin_config = plugin.config or {}
            _require_known_keys(plugin_config.keys())
            self._stage = _stage(plugin_config)
            _cancel_with_dbt()

        def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
            """Register the operations, and a function for each artifact that can be read."""
            if not missing_packages(["numpy"]):  # without, DuckDB registers no Python function
                _register_all(conn, self._stage)

        def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
            """Where NumPy is missing, define the operations in SQL, to say so."""
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
    """Let the functions end where dbt cancels, as at Ctrl-C: DuckDB waits for them, and dbt for it.

    DuckDB interrupts a query between two calls of a function, and a call has 2,048 texts.
    """
    with contextlib.suppress(ImportError):  # a private module of dbt-duckdb
        from dbt.adapters.duckdb.environments.local import LocalEnvironment

        cancel = LocalEnvironment.cancel

        def cancel_functions_too(connection: Connection) -> None:
            try:
                cancel(connection)  # first: then the query starts no other call
            finally:
                cancellation.cancel()

        LocalEnvironment.cancel = staticmethod(cancel_functions_too)  # pyright: ignore[reportAttributeAccessIssue]


def _register_all(conn: duckdb.DuckDBPyConnection, stage: Stage) -> None:
    """Register the operations, and a function for each artifact that can be read.

    An artifact that cannot be read does not stop dbt, because most nodes of a project do not embed.
    The check tells those that do what is wrong with it.
    """
    functions = (_check, _refusal, _verify, _staged_as_json, _remove)
    for function, (name, signature) in zip(functions, _OPERATIONS.items(), strict=True):
        parameters, returns = signature
        # With side effects: else DuckDB calls it several times for one row of constants.
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
        model, build = _model_and_build(path)
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


def _stage(config: Mapping[str, Any], says: str = "the plugin's config says") -> Stage:
    folder = _folder(config, "stage", "tf_embeddings_stage", says)
    cache = _folder(config, "cache", str(folder / ".cache"), says)
    threads = config.get("threads", 0)
    if type(threads) is not int or threads < 0:
        raise TfEmbeddingsError(
            f"tf_embeddings: {says} threads: {threads!r}; give a whole number, 0 for all cores."
        )
    return Stage(folder, cache, threads)


def _require_known_keys(keys: Set[str]) -> None:
    if unknown := sorted(keys - _KEYS):
        raise TfEmbeddingsError(
            f"tf_embeddings: the plugin's config has '{unknown[0]}', which it does not know; it "
            f"knows {', '.join(sorted(_KEYS))}."
        )


def _folder(config: Mapping[str, Any], key: str, default: str, says: str) -> Path:
    value = config.get(key, default)
    if isinstance(value, str) and value:
        return Path(value).expanduser().absolute()
    raise TfEmbeddingsError(f"tf_embeddings: {says} {key}: {value!r}; give the path of a folder.")


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
        # It exists already, perhaps for a different stage folder.
        try:
            conn.remove_function(name)
        except duckdb.InvalidInputException:
            # Another connection registered it, and only that one can replace it: dbt was called
            # before in this process, and the database stayed open.
            return
        create()


def _embed_function(stage: Stage, path: Path) -> Callable[[Any, Any], Any]:
    """Return the Arrow function of one artifact; DuckDB calls it from several threads at once."""
    model, build = _model_and_build(path)

    @functools.cache
    def folder() -> Path:
        return unpack(path, stage.cache, model=model, build=build)

    # From pyarrow.ChunkedArrays to a StructArray; DuckDB evaluates a function's annotations, and
    # pyarrow is not imported before it is needed.
    def embed(texts: Any, tokens_only: Any, cancelled: threading.Event) -> Any:  # noqa: ANN401
        embedder = cached(folder(), stage.threads)
        # One by one: with DuckDB's arrow_lossless_conversion, booleans come as Arrow's bool8.
        only = [bool(one) for one in tokens_only.to_pylist()]
        return _to_arrow(embedder.outcomes(texts.to_pylist(), only, cancelled))

    def embed_in_own_thread(texts: Any, tokens_only: Any) -> Any:  # noqa: ANN401
        cancelled = cancellation.current()  # here: there it may wait for a thread, and the model
        return _in_own_thread(stage, functools.partial(embed, texts, tokens_only, cancelled))

    return embed_in_own_thread


def _in_own_thread(stage: Stage, call: Callable[[], Answer]) -> Answer:
    """Call in a thread of Python's own, with no more of them at once than the models may use.

    TensorFlow's bindings remember the Python state of each thread from its first call. DuckDB's
    threads get a new state at each call into Python, so a second call uses the freed state of the
    first, and crashes. Python's own threads keep theirs.
    """
    key = (os.getpid(), stage.threads or available_cores())
    threads = _threads.get(key)
    if threads is None:
        threads = _threads.setdefault(key, ThreadPoolExecutor(key[1], "tf_embeddings"))
    return threads.submit(call).result()


def _to_arrow(outcomes: Outcomes) -> pa.StructArray:
    """Return the outcomes as Arrow; the vectors are not copied."""
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
    """Return True where the artifact of a pin can be run, and unpack it.

    Raises:
        TfEmbeddingsError: it is missing, damaged, not what the pin says, or lacks a package.
    """
    path = _staged(stage, model, version, build)
    manifest = read_manifest(path, f"'{path}'")
    if (manifest.version, manifest.dimensions) != (version, dimensions):
        raise TfEmbeddingsError(
            f"tf_embeddings: the pin of model '{model}' says version {version} and {dimensions} "
            f"dimensions, and its artifact {path.name} is version {manifest.version} and has "
            f"{manifest.dimensions}. Correct the pin in var tf_embeddings_models; to write it "
            f"again: {stage_command(model)}"
        )
    _require_packages(manifest)
    unpack(path, stage.cache, model=model, build=build)
    return True


def _refusal(stage: Stage, model: str, version: str, build: str, dimensions: int) -> str:
    """Return why the model of a pin cannot run; nothing where it embeds a word."""
    try:
        _check(stage, model, version, build, dimensions)
        path = _staged(stage, model, version, build)
        folder = unpack(path, stage.cache, model=model, build=build)
        _in_own_thread(stage, lambda: cached(folder, stage.threads).outcomes(["hello"], [False]))
    except Exception as error:  # whatever a library raises is the answer
        return str(error).removeprefix("tf_embeddings: ") or type(error).__name__
    return ""


def _verify(stage: Stage, model: str, version: str, build: str) -> str:
    """Return the report on the golden vectors of a pin's artifact, as JSON.

    Raises:
        TfEmbeddingsError: the artifact is missing, damaged, not of this version, lacks a package,
            or holds no golden vectors.
    """
    path = _staged(stage, model, version, build)
    manifest = read_manifest(path, f"'{path}'")
    if manifest.version != version:
        raise TfEmbeddingsError(
            f"tf_embeddings: the pin of model '{model}' says version {version}, and its artifact "
            f"{path.name} is version {manifest.version}. Correct the pin in var "
            f"tf_embeddings_models; to write it again: {stage_command(model)}"
        )
    _require_packages(manifest)
    folder = unpack(path, stage.cache, model=model, build=build)

    said = _in_own_thread(stage, lambda: report(cached(folder, stage.threads), folder))
    return json.dumps(said, allow_nan=False)


def _staged_as_json(stage: Stage) -> str:
    """Return the artifacts that are where they belong, as JSON; others have no pin."""
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
    """Delete an artifact, its folders where nothing else is in them, and its unpacked copy.

    Returns:
        Whether the stage folder held it.

    Raises:
        TfEmbeddingsError: this is not an artifact's name, or a link leads out of the stage folder.
    """
    place = f"{model}/{version}/{model}-{build}.zip"
    path = stage.folder / place
    if not _PLACE.fullmatch(place) or _leads_elsewhere(stage, path):
        raise TfEmbeddingsError(
            f"tf_embeddings: '{place}' is not where an artifact belongs in the stage folder "
            f"'{stage.folder}', so nothing was removed. select tf_embeddings_staged() lists them."
        )
    if not path.is_file():
        return False
    remove(path, stage.cache, model=model, version=version, build=build)
    with contextlib.suppress(OSError):  # something else is in it
        path.parent.rmdir()
        path.parent.parent.rmdir()
    return True


def _leads_elsewhere(stage: Stage, path: Path) -> bool:
    inside = path.parent.relative_to(stage.folder)
    return path.parent.resolve() != stage.folder.resolve() / inside


def _staged(stage: Stage, model: str, version: str, build: str) -> Path:
    """Return the file of an artifact: where it belongs, or where another version has it."""
    name = f"{model}-{build}.zip"
    staged = stage.artifacts()
    expected = stage.folder / model / version / name
    if expected in staged:
        return expected
    elsewhere = [path for path in staged if path.name == name]
    if elsewhere:
        return elsewhere[0]
    raise TfEmbeddingsError(
        f"tf_embeddings: the artifact of model '{model}' (version {version}, build {build}) is "
        f"not in the stage folder '{stage.folder}' ({_listing(stage, staged)}). "
        f"Stage it with: {stage_command(model)}"
    )


def _listing(stage: Stage, staged: list[Path]) -> str:
    if not stage.folder.is_dir():
        return "it does not exist"
    if not staged:
        return "it is empty"
    names = [path.relative_to(stage.folder).as_posix() for path in staged[:_MOST_FILES_LISTED]]
    more = len(staged) - len(names)
    return f"it has: {', '.join(names)}{f' and {more} more' if more else ''}"


def _require_packages(manifest: Manifest) -> None:
    needed = dict.fromkeys([*manifest.packages, "pyarrow"])
    missing = missing_packages(needed)
    if not missing:
        return
    packages = ", ".join(missing)
    raise TfEmbeddingsError(
        f"tf_embeddings: model '{manifest.model}' needs Python packages that are not installed: "
        f"{packages}. Install them with: {pip_command(*missing)}"
    )


def _model_and_build(path: Path) -> tuple[str, str]:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(path.name)
    return match[1], match[2]
