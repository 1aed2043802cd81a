"""Embeds texts and searches, in an app or a notebook, with the model that a dbt project pins.

    client = tf_embeddings_client.Client("my_project")
    vector = client.embed("Where is my card?")
    rows = client.search(connection, "Where is my card?", "tickets_embedded", k=5)

It reads the pin in the project's files, without dbt. A connection is one of `duckdb` or of
`snowflake-connector-python`. The model runs in this process, from the project's stage folder; with
a connection of Snowflake, the function that the package created there runs it.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tf_embeddings_project import Pin, Project, pinned, read_project, stage_in_profile
from tf_embeddings_stage import Stage, require_packages, stage_of
from tf_embeddings_udf import (
    Embedder,
    TfEmbeddingsError,
    cached,
    read_manifest,
    stage_command,
    unpack,
)

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from snowflake.connector import SnowflakeConnection

Row = tuple[Any, ...]

SIMILARITY = "cosine_similarity"
"""The key of a found row's similarity."""

_PLAIN_NAME = re.compile(r"[^\W\d][\w$]*")
_NAME = re.compile(rf'{_PLAIN_NAME.pattern}|"(?:[^"\0]|"")+"')
_STORED_NAME = re.compile(r"[A-Z_][A-Z0-9_$]*")
_SCHEMA = "tf_embeddings"
_PAIRS = "pairs"

# Stands for a value in SQL, until a warehouse puts its own mark there. No name can have it.
_PARAMETER = "\0"

# What goes to Snowflake in one statement, which may have 1 MB. The connector writes some bytes as
# two.
# https://docs.snowflake.com/en/user-guide/query-size-limits
_TEXTS_IN_A_STATEMENT = 100
_BYTES_IN_A_STATEMENT = 400_000

_MOST_TEXTS_NAMED = 3
_MOST_ROWS = 1_000_000_000


class NoVectorError(TfEmbeddingsError):
    """Texts have no vector, or no score: they are None or blank, or the model fails on them.

    Attributes:
        positions: the places of those texts in the list, from 0.
    """

    positions: tuple[int, ...] = ()


class Client:
    """A project's model: embeds texts, and finds the rows of a table that are nearest to a text.

    Any number of threads may share one client; each needs its own connection or cursor, as DuckDB
    and Snowflake ask. A process that was forked loads the model again at its first text. A model
    that runs on TensorFlow must not run before the fork.

    Attributes:
        model: the name of the pinned model.
        version: its version: only rows of this version can be compared with its vectors.
        dimensions: the length of a vector.
    """

    def __init__(
        self,
        project: str | os.PathLike[str] = ".",
        *,
        model: str | None = None,
        target: str | None = None,
        stage: str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        threads: int | None = None,
    ) -> None:
        """Read the pin; the model is loaded at the first text.

        Args:
            project: the folder of the dbt project, or a folder in it.
            model: the name of a pinned model; the default one if not given.
            target: whose plugin config in profiles.yml names the stage folder; that of DBT_TARGET
                or the profile's own if not given.
            stage: the stage folder, instead of the one that profiles.yml names.
            cache: where artifacts are unpacked, instead of the plugin's `cache`.
            threads: threads for the model, instead of the plugin's `threads`; 0 for all cores.

        Raises:
            TfEmbeddingsError: there is no project, no such model, or several and no default.
        """
        self._project = read_project(project)
        self._pin = pinned(self._project, model)
        self._target = target
        self._given: dict[str, Any] = {}
        if stage is not None:
            self._given["stage"] = os.fspath(stage)
        if cache is not None:
            self._given["cache"] = os.fspath(cache)
        if threads is not None:
            self._given["threads"] = threads
        self._functions: dict[Row, str] = {}

    @property
    def model(self) -> str:
        """The name of the pinned model."""
        return self._pin.model

    @property
    def version(self) -> str:
        """The pinned version, as the macro embedding_version returns it."""
        return self._pin.version

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._pin.dimensions

    def __repr__(self) -> str:
        return f"<Client of model '{self.model}', version {self.version}>"

    def embed(
        self,
        texts: str | Iterable[str | None] | None,
        connection: duckdb.DuckDBPyConnection | SnowflakeConnection | None = None,
    ) -> np.ndarray:
        """Return the vector of a text, or the vectors of several.

        Args:
            texts: a text, or a list or column of n texts.
            connection: if it is one of Snowflake, its function embeds them; otherwise the model
                runs in this process.

        Returns:
            float32 [dimensions] for a text, float32 [n, dimensions] for several.

        Raises:
            NoVectorError: a text is None or blank, or the model fails on it.
            TfEmbeddingsError: something that is not a text is among them; the artifact is not in
                the stage folder, or the function not in Snowflake.
        """
        if self._pin.kind == _PAIRS:
            raise TfEmbeddingsError(
                f"tf_embeddings: embed: model '{self.model}' is a cross-encoder: it scores a query "
                f"and a text together, and gives no vectors. Call rerank, or name another model "
                f"with Client(model='…')."
            )
        several = _listed("embed", texts)
        found = self._rows(several, connection, "vector")
        return found[0] if isinstance(texts, str) else found

    def rerank(
        self,
        query: str,
        texts: Iterable[str | None],
        connection: duckdb.DuckDBPyConnection | SnowflakeConnection | None = None,
    ) -> np.ndarray:
        """Return the scores of texts for a query, as the macro rerank gives them.

        The model runs once for each text. It must be a cross-encoder, of kind pairs:
        `Client(model="ms_marco_minilm")`.

        Args:
            query: the question.
            texts: n texts that may answer it.
            connection: as for `embed`.

        Returns:
            float32 [n]; the best answer has the highest score.

        Raises:
            NoVectorError: the query is blank, a text is None or blank, or the model fails on one.
            TfEmbeddingsError: the model is not a cross-encoder; or as `embed` does.
        """
        from tf_embeddings_udf.encoders.pairs import as_text

        if self._pin.kind != _PAIRS:
            raise TfEmbeddingsError(
                f"tf_embeddings: rerank: model '{self.model}' is of kind {self._pin.kind}, which "
                f"gives vectors. Name a cross-encoder, of kind pairs, with Client(model='…')."
            )
        several = _listed("rerank", texts)
        if not isinstance(query, str):
            raise TfEmbeddingsError(
                f"tf_embeddings: rerank got a query of type {type(query).__name__}; it must be a "
                f"text."
            )
        pairs = [None if text is None else as_text(query, text) for text in several]
        return self._rows(pairs, connection, "score")[:, 0]

    def _rows(
        self,
        texts: Sequence[str | None],
        connection: duckdb.DuckDBPyConnection | SnowflakeConnection | None,
        what: str,
    ) -> np.ndarray:
        """Return what the model gives for each text, float32 [n, dimensions]; `what` it is."""
        import numpy as np

        warehouse = None if connection is None else self._warehouse(connection)
        if isinstance(warehouse, _Snowflake):
            statuses, rows = warehouse.embed(texts)
        else:
            outcomes = self._embedder().embed(texts)
            statuses, rows = outcomes.statuses.tolist(), outcomes.embeddings
        if any(status != "ok" for status in statuses):
            raise _no_vector(statuses, self.model, what)
        return np.asarray(rows, np.float32).reshape(len(texts), self.dimensions)

    def search(
        self,
        connection: duckdb.DuckDBPyConnection | SnowflakeConnection,
        question: str | np.ndarray,
        table: str,
        *,
        k: int = 10,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        min_similarity: float | None = None,
        embedding: str = "embedding",
        version: str = "model_version",
    ) -> list[dict[str, Any]]:
        """Return the rows of a table that are nearest to a question, the nearest first.

        The search is exact: it compares the question with each row of the pinned version.

        Args:
            connection: to the warehouse that has the table.
            question: a text, or its vector as `embed` returns it.
            table: its name, with its schema and database where the connection needs them. Names
                come from your code: whoever chooses them chooses what is read.
            k: how many rows to return at most.
            columns: the columns to return; all but the vector and its version if not given.
            where: column -> the value that its rows must have, a list, set or array of values, or
                None for NULL.
            min_similarity: leave out rows that are less similar.
            embedding: the column of the vectors.
            version: the column of their versions.

        Returns:
            A dict for each row: the columns, and `cosine_similarity`. Snowflake's names are in
            lower case, unless they were created in quotes.

        Raises:
            NoVectorError: the question is blank.
            TfEmbeddingsError: an argument is not valid; the table or a column does not exist, or no
                row has the pinned version; or as `embed` does.
        """
        warehouse = self._warehouse(connection)
        if type(k) is not int or not 1 <= k <= _MOST_ROWS:
            raise TfEmbeddingsError(
                f"tf_embeddings: search got k={k!r}; it must be a whole number from 1 to "
                f"{_MOST_ROWS:,}."
            )
        if columns is not None:
            columns = [] if isinstance(columns, str) else list(columns)
            if not columns:
                raise TfEmbeddingsError(
                    "tf_embeddings: search got columns that are not a list of names, or an empty "
                    "one; write columns=['id'], or leave it out for all."
                )
        if not isinstance(where, Mapping | None):
            raise TfEmbeddingsError(
                f"tf_embeddings: search got where={where!r}; it must be a dict of columns and "
                f"values, such as {{'lang': 'en'}}."
            )
        wanted = {column: _plain(value) for column, value in (where or {}).items()}
        named = [("embedding", embedding), ("version", version)]
        named += [("where", column) for column in wanted]
        named += [("columns", column) for column in columns or []]
        _require_name("table", table, parts=3)
        for argument, name in named:
            _require_name(argument, name, parts=1)

        is_text = question is None or isinstance(question, str)
        values = self._values(self.embed(question, connection) if is_text else question)
        conditions, parameters = [f"{version} = {_PARAMETER}"], [self.version]
        for column, value in wanted.items():
            conditions.append(_condition(column, value))
            parameters.extend(value if isinstance(value, list) else [value])
        parameters = [one for one in parameters if one is not None]
        if columns is None:
            selected = f"searched.* exclude ({embedding}, {version})"
        else:
            selected = ", ".join(columns)
        similarity = warehouse.similarity(embedding, self.dimensions)
        # NULL instead of NaN, which a vector of zeros gives and which sorts first.
        sql = f"""
          select {selected}, nullif({similarity}, cast('nan' as double)) as {SIMILARITY}
          from {table} as searched
          where {" and ".join(conditions)} and {embedding} is not null
          order by {SIMILARITY} desc nulls last
          limit {k}
        """
        try:
            warehouse.require_table(table)
            keys, rows = warehouse.query(sql, [json.dumps(values), *parameters])
        except Exception as error:
            if said := _explained(warehouse, table, named, error):
                raise TfEmbeddingsError(said) from error
            raise
        found = [dict(zip(keys, row, strict=True)) for row in rows]
        if not found:
            self._require_rows(warehouse, table, version)
        least = -math.inf if min_similarity is None else min_similarity
        return [row for row in found if row[SIMILARITY] is not None and row[SIMILARITY] >= least]

    def _values(self, vector: Any) -> list[float]:  # noqa: ANN401 - what the user passes
        import numpy as np

        try:
            array = np.asarray(vector, np.float32)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != (self.dimensions,) or not np.isfinite(array).all():
            shape = f" and shape {array.shape}" if isinstance(vector, np.ndarray) else ""
            raise TfEmbeddingsError(
                f"tf_embeddings: search got a question of type {type(vector).__name__}{shape}; it "
                f"must be a text, or a vector of {self.dimensions} finite numbers, as embed "
                f"returns it."
            )
        return array.tolist()

    def _require_rows(self, warehouse: _Warehouse, table: str, version: str) -> None:
        sql = f"select count(*), count(case when {version} = {_PARAMETER} then 1 end) from {table}"
        _, [(rows, current)] = warehouse.query(sql, [self.version])
        if rows and not current:
            raise TfEmbeddingsError(
                f"tf_embeddings: none of the {rows} rows of {table} has {version} = "
                f"'{self.version}', the version of model '{self.model}' that the project pins. "
                f"Build the table again with: dbt build --select +{table.rpartition('.')[2]}"
            )

    @functools.cached_property
    def _stage(self) -> Stage:
        if "stage" in self._given:
            return stage_of(self._given, "Client got")
        stage = stage_in_profile(self._project, self._target)
        config = {"stage": str(stage.folder), "cache": str(stage.cache), "threads": stage.threads}
        return stage_of({**config, **self._given}, "Client got")

    def _embedder(self) -> Embedder:
        """Return the model, loaded by this very process."""
        return cached(self._unpacked, self._stage.threads)

    @functools.cached_property
    def _unpacked(self) -> Path:
        path = self._stage.find(self.model, self.version, self._pin.build)
        manifest = read_manifest(path, f"'{path}'")
        if (manifest.version, manifest.dimensions) != (self.version, self.dimensions):
            raise TfEmbeddingsError(
                f"tf_embeddings: the pin of model '{self.model}' says version {self.version} and "
                f"{self.dimensions} dimensions, but its artifact {path.name} has version "
                f"{manifest.version} and {manifest.dimensions} dimensions. Write the pin again "
                f"with: {stage_command(self.model)}"
            )
        require_packages(manifest)
        return unpack(path, self._stage.cache, model=self.model, build=self._pin.build)

    def _warehouse(self, connection: Any) -> _Warehouse:  # noqa: ANN401 - checked here
        module = type(connection).__module__.partition(".")[0]
        if module in ("duckdb", "_duckdb") and hasattr(connection, "cursor"):
            return _DuckDB(connection)
        if module == "snowflake" and hasattr(connection, "is_pyformat"):
            return _Snowflake(connection, self._project, self._pin, self._functions)
        raise TfEmbeddingsError(
            f"tf_embeddings: connection is a {type(connection).__name__}; it must be a connection "
            f"of duckdb or of snowflake-connector-python, such as the one in session.connection "
            f"of a Snowpark session."
        )


class _Warehouse(Protocol):
    """What differs between the warehouses: a connection that runs SQL."""

    def is_refusal(self, error: Exception) -> bool:
        """Return whether it refuses SQL that names what does not exist."""
        ...

    def is_unread(self, error: Exception) -> bool:
        """Return whether it cannot read SQL, which it cannot if a name is a reserved word."""
        ...

    def is_mismatch(self, error: Exception) -> bool:
        """Return whether values do not have the types of their columns."""
        ...

    def query(self, sql: str, parameters: Sequence[Any]) -> tuple[list[str], list[Row]]:
        """Return the names of the columns, and the rows."""
        ...

    def require_table(self, table: str) -> None:
        """Raise what the warehouse raises if there is no such table, if a query may not do so."""
        ...

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns."""
        ...

    def similarity(self, embedding: str, dimensions: int) -> str:
        """Return the SQL of the cosine of a column and a parameter, the vector as JSON."""
        ...


class _DuckDB:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def is_refusal(self, error: Exception) -> bool:
        return type(error).__name__ in ("CatalogException", "BinderException")

    def is_unread(self, error: Exception) -> bool:
        return type(error).__name__ == "ParserException"

    def is_mismatch(self, error: Exception) -> bool:
        return type(error).__name__ in (
            *("BinderException", "ConversionException", "InvalidInputException"),
            *("NotImplementedException", "OutOfRangeException", "TypeMismatchException"),
        )

    def query(self, sql: str, parameters: Sequence[Any]) -> tuple[list[str], list[Row]]:
        # Unlike execute, sql keeps its result apart from those of other threads.
        found = self._connection.sql(sql.replace(_PARAMETER, "?"), params=list(parameters))
        return found.columns, found.fetchall()

    def require_table(self, table: str) -> None:
        # A name that is not in the catalog reads the file or the Python variable of that name.
        # https://duckdb.org/docs/stable/guides/glossary#replacement-scan
        self.columns(table)

    def columns(self, table: str) -> list[str]:
        _, rows = self.query(f"select name from pragma_table_info({_PARAMETER})", [table])
        return [row[0] for row in rows]

    def similarity(self, embedding: str, dimensions: int) -> str:
        type_ = f"float[{dimensions}]"
        column, vector = f"cast({embedding} as {type_})", f"cast({_PARAMETER} as {type_})"
        # A NULL in a vector is an error of the function.
        return f"""case when list_position({column}, null) is null
          then array_cosine_similarity({column}, {vector}) end"""


class _Snowflake:
    def __init__(
        self,
        connection: SnowflakeConnection,
        project: Project,
        pin: Pin,
        functions: dict[Row, str],
    ) -> None:
        self._connection = connection
        self._project = project
        self._pin = pin
        self._functions = functions

    def is_refusal(self, error: Exception) -> bool:
        return type(error).__name__ == "ProgrammingError"

    def is_unread(self, error: Exception) -> bool:
        return self.is_refusal(error) and "syntax error" in str(error)

    def is_mismatch(self, error: Exception) -> bool:
        return str(getattr(error, "sqlstate", "")).startswith("22")  # a data exception

    def query(self, sql: str, parameters: Sequence[Any]) -> tuple[list[str], list[Row]]:
        if self._connection.is_pyformat:
            sql = sql.replace("%", "%%").replace(_PARAMETER, "%s")
        with self._connection.cursor() as cursor:
            cursor.execute(sql.replace(_PARAMETER, "?"), list(parameters))
            names = [column.name for column in cursor.description or []]
            rows = [tuple(row) for row in cursor.fetchall()]  # pyright: ignore[reportArgumentType]
        return [name.lower() if _STORED_NAME.fullmatch(name) else name for name in names], rows

    def require_table(self, table: str) -> None:
        """Do nothing: a query reads tables and views only."""

    def columns(self, table: str) -> list[str]:
        return self.query(f"select * from {table} limit 0", [])[0]

    def similarity(self, embedding: str, dimensions: int) -> str:
        # https://docs.snowflake.com/en/sql-reference/data-types-vector#vector-conversion
        vector = f"cast(as_array(parse_json({_PARAMETER})) as vector(float, {dimensions}))"
        return f"vector_cosine_similarity({embedding}, {vector})"

    def embed(self, texts: Sequence[str | None]) -> tuple[list[str], list[list[float]]]:
        """Have the function embed texts; return their statuses, and the vectors of those `ok`."""
        statuses, vectors = ["null"] * len(texts), []
        for first, some in _portions(texts):
            values = ", ".join(f"({place}, {_PARAMETER})" for place in range(len(some)))
            rows = self._answers(
                f"(cast(column2 as varchar), false) as outcome from values {values}", some
            )
            for place, outcome in sorted(rows):
                if outcome is not None:  # the function is strict
                    said = json.loads(outcome)
                    statuses[first + place] = said["status"]
                    vectors.append(said["embedding"])
        return statuses, vectors

    def _answers(self, call: str, texts: Sequence[str | None]) -> list[Row]:
        key = (self._connection.account, self._connection.role, self._schema())
        if key not in self._functions:
            self._functions[key] = self._function()
        try:
            return self.query(f"select column1, {self._functions[key]}{call}", texts)[1]
        except Exception:
            self._functions.pop(key, None)  # it may have been dropped; the next call asks again
            raise

    def _schema(self) -> str:
        """Return the schema of the functions, as the macro _schema_name does."""
        database = self._project.var("tf_embeddings_database") or self._connection.database
        if not database:
            raise TfEmbeddingsError(
                "tf_embeddings: the connection has no database. Connect with database='…', the one "
                "of dbt's target, where the model's function is."
            )
        schema = self._project.var("tf_embeddings_schema") or _SCHEMA
        return f"{_identifier(str(database))}.{_identifier(str(schema))}"

    def _function(self) -> str:
        """Return the newest function of the pinned build, which this role may use.

        Its name ends in a digest of settings such as the packages. Functions of one build that
        differ in them give the same vectors.
        https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
        """
        pin, schema = self._pin, self._schema()
        prefix = f"TF_EMBEDDINGS_{pin.model}_{pin.build}_".upper()
        show = f"show user functions like '{prefix}________' in schema {schema}"
        try:
            names, rows = self.query(show, [])
        except Exception as error:
            raise TfEmbeddingsError(
                f"tf_embeddings: the functions of schema {schema} cannot be listed: "
                f"{_said(error)}. Grant its usage to role {self._connection.role}, or "
                f"connect with the database of dbt's target."
            ) from error
        shown = [dict(zip(names, row, strict=True)) for row in rows]
        found = [one for one in shown if re.fullmatch(prefix + "[0-9A-F]{8}", one["name"])]
        if not found:
            raise TfEmbeddingsError(
                f"tf_embeddings: role {self._connection.role} sees no function of model "
                f"'{pin.model}', build {pin.build}, in schema {schema}. dbt build creates it; var "
                f"tf_embeddings_grants names the roles that may use it."
            )
        newest = max(found, key=lambda one: one["created_on"])
        return f"{schema}.{newest['name']}"


def _portions(texts: Sequence[str | None]) -> Iterator[tuple[int, Sequence[str | None]]]:
    """Yield the place and the texts of each statement; a text that is too long has its own."""
    first, size = 0, 0
    for place, text in enumerate(texts):
        bytes_ = len((text or "").encode(errors="surrogatepass"))
        is_full = place - first == _TEXTS_IN_A_STATEMENT or size + bytes_ > _BYTES_IN_A_STATEMENT
        if place > first and is_full:
            yield first, texts[first:place]
            first, size = place, 0
        size += bytes_
    if first < len(texts):
        yield first, texts[first:]


def _listed(method: str, texts: str | Iterable[str | None] | None) -> list[str | None]:
    """Return a text, or several, as a list."""
    if isinstance(texts, bytes) or not isinstance(texts, Iterable | None):
        raise TfEmbeddingsError(
            f"tf_embeddings: {method} got texts of type {type(texts).__name__}; it must be a "
            f"text, or a list of texts."
        )
    several = [texts] if isinstance(texts, str) or texts is None else list(texts)
    for place, text in enumerate(several):
        if not isinstance(text, str | None):
            raise TfEmbeddingsError(
                f"tf_embeddings: text {place} of {len(several)} is of type "
                f"{type(text).__name__}; {method} takes texts."
            )
    return several


def _no_vector(statuses: Sequence[str], model: str, what: str) -> NoVectorError:
    reasons = {
        "null": "is None",
        "blank": "has no content for the model",
        "error": f"makes model '{model}' fail",
    }
    positions = tuple(place for place, status in enumerate(statuses) if status != "ok")
    named = [f"text {one} {reasons[statuses[one]]}" for one in positions[:_MOST_TEXTS_NAMED]]
    more = len(positions) - len(named)
    if len(statuses) == 1:
        said = f"the text {reasons[statuses[0]]}, so it has no {what}. Give a text with content."
    else:
        said = (
            f"{len(positions)} of {len(statuses)} texts have no {what}: {', '.join(named)}"
            f"{f' and {more} more' if more else ''}. Leave them out."
        )
    error = NoVectorError(f"tf_embeddings: {said}")
    error.positions = positions
    return error


def _require_name(argument: str, name: object, parts: int) -> None:
    """Refuse what is not the name of a column or a table, so that no other SQL gets in."""
    one = rf"(?:{_NAME.pattern})"
    if isinstance(name, str) and re.fullmatch(rf"{one}(?:[.]{one}){{0,{parts - 1}}}", name):
        return
    allowed = "a name, such as body" if parts == 1 else "a name, such as tickets or schema.tickets"
    raise TfEmbeddingsError(
        f"tf_embeddings: search got {argument} {name!r}; it must be {allowed}, with double quotes "
        f"around a part that needs them."
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - what the user passes
    """Return a value as Python's own, and several of them as a list."""
    if hasattr(value, "tolist"):  # of NumPy or pandas
        value = value.tolist()
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _condition(column: str, value: object) -> str:
    if value is None:
        return f"{column} is null"
    if isinstance(value, Mapping):
        raise TfEmbeddingsError(
            f"tf_embeddings: search got where={{{column!r}: {value!r}}}; it must be a value, a "
            f"list of values, or None."
        )
    if not isinstance(value, list):
        return f"{column} = {_PARAMETER}"
    if not value or None in value:
        raise TfEmbeddingsError(
            f"tf_embeddings: search got where={{{column!r}: {value!r}}}; a list must have values, "
            f"and no None."
        )
    return f"{column} in ({', '.join([_PARAMETER] * len(value))})"


def _explained(
    warehouse: _Warehouse, table: str, named: Iterable[tuple[str, str]], error: Exception
) -> str | None:
    """Return why a search failed, if an argument is the cause."""
    if warehouse.is_unread(error):
        return (
            f"tf_embeddings: search got a name that is a reserved word: {_said(error)}. Put it in "
            f"double quotes, such as columns=['\"order\"']."
        )
    if warehouse.is_refusal(error):
        said = _missing(warehouse, table, named, error)
        if said is not None:
            return said
    if warehouse.is_mismatch(error):
        return (
            f"tf_embeddings: search cannot compare: {_said(error)}. In where, give values of the "
            f"columns' types, and as embedding a column with vectors of the model."
        )
    return None


def _missing(
    warehouse: _Warehouse, table: str, named: Iterable[tuple[str, str]], error: Exception
) -> str | None:
    """Return which table or column is missing."""
    try:
        there = warehouse.columns(table)
    except Exception:
        return (
            f"tf_embeddings: search cannot read table {table}: {_said(error)}. Name its "
            f"schema too, as table='schema.name', or build it with: dbt build --select "
            f"+{table.rpartition('.')[2]}"
        )
    known = {name.lower() for name in there}
    for argument, name in named:
        if name.strip('"').replace('""', '"').lower() not in known:
            return (
                f"tf_embeddings: search got {argument} {name!r}, but table {table} has only: "
                f"{', '.join(there)}. Name one of these columns."
            )
    return None


def _said(error: Exception) -> str:
    """Return what a warehouse said: the first line, and the second where that begins a list."""
    first, *others = [line.strip() for line in str(error).splitlines()] or [type(error).__name__]
    return (f"{first} {others[0]}" if first.endswith(":") and others else first).rstrip(".!")


def _identifier(name: str) -> str:
    """Return a name as SQL, as the macro _identifier does."""
    return name if _NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'
