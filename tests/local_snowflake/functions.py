"""The account's functions: create, call, show and drop them.

Each has a function of DuckDB under a private name, and calls are rewritten to that. A view keeps
the private name, so what it runs is looked up when it runs.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from snowflake.connector.errors import ProgrammingError
from sqlglot import Expr, exp

from local_snowflake import execution, packages
from local_snowflake.create_function import (
    PYPI_ONLY_RUNTIMES,
    CreateFunction,
    SqlType,
    is_create_function,
    parse,
    read_type,
)
from local_snowflake.errors import compilation_error
from local_snowflake.grants import Name, function_name, not_authorized
from local_snowflake.namespaces import current, in_scope, require_schema
from local_snowflake.rows import Rows, status, texts
from local_snowflake.stages import Location, already_exists
from local_snowflake.statements import Reader, first_words, identifier, like_matches, qualified

if TYPE_CHECKING:
    from local_snowflake.execution import Query
    from local_snowflake.session import Session

PREFIX = "_ls_udf_"
DEFAULT_DESCRIPTION = "user-defined function"


@dataclass(frozen=True)
class Import(Location):
    """A staged file of IMPORTS; `text` is the location as it was written."""

    text: str


@dataclass(frozen=True, eq=False)
class Function:
    """A function that was created.

    Attributes:
        name: database, schema and name, folded.
        duck_name: DuckDB's function that calls it.
        session: the number of the session that a temporary function belongs to.
    """

    name: Name
    duck_name: str
    parameters: tuple[tuple[str, SqlType], ...]
    returns: SqlType
    is_nullable: bool
    is_strict: bool
    is_immutable: bool
    runtime_version: str
    handler: str
    imports: tuple[Import, ...]
    packages: tuple[str, ...]
    repository: tuple[str, ...]
    comment: str
    body: str | None
    created_on: datetime
    session: int | None = None

    @property
    def parameter_types(self) -> list[SqlType]:
        """The types of the arguments."""
        return [kind for _, kind in self.parameters]

    @property
    def grant_name(self) -> Name:
        """The name by which grants know it."""
        return function_name(self.name, [kind.name for kind in self.parameter_types])

    @property
    def arguments(self) -> str:
        """The name with the types of its arguments, as Snowflake shows it."""
        return f"{self.name[2]}({', '.join(kind.name for kind in self.parameter_types)})"


@dataclass
class Functions:
    """The account's functions by name with types, and the current query."""

    by_name: dict[Name, Function] = field(default_factory=dict)
    query: Query | None = None
    parents: execution.Parents = field(default_factory=execution.Parents)
    checks: execution.Checks = field(default_factory=execution.Checks)
    # DuckDB keeps a pointer to a Python function while the database is open, but a reference only
    # while the connection that registered it is open.
    _registered: dict[str, Callable[..., Any]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> tuple[dict[Name, Function], dict[str, str]]:
        """The functions and DuckDB's names for them, for the next server."""
        lasting = {key: one for key, one in self.by_name.items() if one.session is None}
        return lasting, self._names

    @kept.setter
    def kept(self, kept: tuple[dict[Name, Function], dict[str, str]]) -> None:
        self.by_name, self._names = kept

    def of(self, session: Session) -> dict[Name, Function]:
        """Return the functions that a session may know: all but others' temporary ones."""
        return {
            key: one for key, one in self.by_name.items() if one.session in (None, session.number)
        }

    def end(self, session: Session) -> None:
        """Drop the temporary functions of a session that ends."""
        self.by_name = {
            key: one for key, one in self.by_name.items() if one.session != session.number
        }

    def called(self, session: Session, name: Name, count: int) -> Function | None:
        """Return the function with this name and number of arguments."""
        found = [
            one
            for one in self.of(session).values()
            if one.name == name and len(one.parameters) == count
        ]
        return found[0] if found else None

    def named(self, session: Session, name: Name) -> bool:
        """Whether there is a function with this name, with any arguments."""
        return any(one.name == name for one in self.of(session).values())

    def drop_in(self, namespace: Name) -> None:
        """Forget the functions of a schema or a database that was dropped."""
        self.by_name = {
            key: one for key, one in self.by_name.items() if key[: len(namespace)] != namespace
        }

    def register(self, session: Session, function: Function) -> None:
        """Register a function, also with DuckDB."""
        self.by_name[function.grant_name] = function
        if function.duck_name in self._registered:
            return

        def call(*columns: pa.ChunkedArray) -> pa.Array:
            return self._call(function, [column.to_pylist() for column in columns])

        # Without arguments, one that only counts the rows.
        types: list[Any] = [kind.duck for kind in function.parameter_types] or ["BOOLEAN"]
        options: dict[str, Any] = {"type": "arrow", "null_handling": "special"}
        # DuckDB counts them.
        call.__dict__["__signature__"] = inspect.Signature(
            [
                inspect.Parameter(f"column{place}", inspect.Parameter.POSITIONAL_ONLY)
                for place in range(len(types))
            ]
        )
        session._duck_conn.cursor().create_function(
            function.duck_name,
            call,
            types,
            function.returns.duck,
            side_effects=not function.is_immutable,
            **options,
        )
        self._registered[function.duck_name] = call

    def name_for(self, name: Name, statement: CreateFunction) -> str:
        """Return DuckDB's name, which changes only when DuckDB must see a change."""
        shape = (
            function_name(name, [kind.name for _, kind in statement.parameters]),
            [kind.duck for _, kind in statement.parameters],
            statement.returns.duck,
            statement.is_immutable,
        )
        return self._names.setdefault(str(shape), f"{PREFIX}{len(self._names)}")

    def _call(self, function: Function, columns: list[list[Any]]) -> pa.Array:
        """Answer DuckDB, on any of its threads."""
        query = self.query
        if query is None:
            raise RuntimeError(f"function {qualified(function.name)} is called outside a query.")
        try:
            current_one = self.by_name.get(function.grant_name)
            if current_one is None or current_one.duck_name != function.duck_name:
                raise unknown(function.name)
            return _results(query, current_one, columns)
        except ProgrammingError as error:
            query.error = query.error or error
            raise


def _results(query: Query, function: Function, columns: list[list[Any]]) -> pa.Array:
    """Return the results for rows; STRICT skips rows with a NULL.

    See https://docs.snowflake.com/en/sql-reference/sql/create-function
    """
    rows = len(columns[0])
    wanted = list(range(rows))
    if function.is_strict and function.parameters:
        wanted = [row for row in wanted if all(column[row] is not None for column in columns)]
    results: list[Any] = [None] * rows
    if wanted:
        chosen = [[column[row] for row in wanted] for column in columns]
        for row, value in zip(wanted, query.call(function, chosen), strict=True):
            results[row] = value
    if not function.is_nullable and None in results:
        raise ProgrammingError(
            msg=f"NULL result in a non-nullable column, function {function.name[2]}",
            errno=100072,
            sqlstate="22000",
        )
    return _arrow(function.returns, results)


def _arrow(kind: SqlType, values: list[Any]) -> pa.Array:
    if kind.kind == "float":
        return pa.array(values, pa.float64())
    if kind.kind == "boolean":
        return pa.array(values, pa.bool_())
    if kind.kind != "number":
        return pa.array(values, pa.string())
    numbers = [None if value is None else Decimal(value) for value in values]
    if kind.scale:
        places = Decimal(1).scaleb(-kind.scale)
        rounded = [None if one is None else one.quantize(places) for one in numbers]
        return pa.array(rounded, pa.decimal128(38, kind.scale))
    return pa.array([None if one is None else round(one) for one in numbers], pa.int64())


# Statements.


def handle(session: Session, sql: str) -> Rows | None:
    """Handle statements on functions."""
    if is_create_function(sql):
        return create(session, parse(sql))
    words = first_words(sql)
    for begins, answer in STATEMENTS:
        if words[: len(begins)] == list(begins):
            return answer(session, Reader(sql))
    return None


def create(session: Session, statement: CreateFunction) -> Rows:
    """CREATE FUNCTION.

    See https://docs.snowflake.com/en/sql-reference/sql/create-function
    """
    functions, grants = session.account.functions, session.account.grants
    name = current(session, statement.name, "CREATE FUNCTION")
    require_schema(session, name[:2])
    grants.require(session, "CREATE FUNCTION", "SCHEMA", name[:2])
    key = function_name(name, [kind.name for _, kind in statement.parameters])
    existing = functions.by_name.get(key)
    if existing is not None:
        if statement.if_not_exists:
            return status(f"{identifier(name[2])} already exists, statement succeeded.")
        if not statement.replace:
            raise already_exists(qualified(name))
        grants.require(session, "OWNERSHIP", "FUNCTION", key)
    repository = statement.repository or packages.PYPI
    packages.require_repository(session, repository)
    if repository == packages.ANACONDA and statement.runtime_version in PYPI_ONLY_RUNTIMES:
        raise compilation_error(
            f"Python runtime version {statement.runtime_version} has packages from "
            f"snowflake.snowpark.pypi_shared_repository only.",
            391511,
            "42601",
        )
    packages.require_packages(session, repository, statement.packages)
    if statement.body is None and ("." not in statement.handler or not statement.imports):
        raise compilation_error(
            f"handler '{statement.handler}': a function without AS names its handler as "
            f"'module.function', and has the module in IMPORTS.",
            391502,
        )
    function = Function(
        name=name,
        duck_name=functions.name_for(name, statement),
        parameters=statement.parameters,
        returns=statement.returns,
        is_nullable=statement.is_nullable,
        is_strict=statement.is_strict,
        is_immutable=statement.is_immutable,
        runtime_version=statement.runtime_version,
        handler=statement.handler,
        imports=_imports(session, statement.imports),
        packages=statement.packages,
        repository=repository,
        comment=statement.comment,
        body=statement.body,
        created_on=datetime.now(UTC),
        session=session.number if statement.is_temporary else None,
    )
    functions.checks.check(session, function)
    functions.register(session, function)
    if existing is None or not statement.copy_grants:
        grants.created(session, "FUNCTION", key)
    return status(f"Function {identifier(name[2])} successfully created.")


def _imports(session: Session, locations: Sequence[str]) -> tuple[Import, ...]:
    """Return the files of IMPORTS: on a stage, readable, with distinct base names.

    What CREATE says where a file is missing is not documented: this is what a call says.

    See https://docs.snowflake.com/en/sql-reference/sql/create-function
    """
    stages = session.account.stages
    found: dict[str, Import] = {}
    for text in locations:
        if not text.startswith("@"):
            raise compilation_error(f"invalid stage location '{text}' in IMPORTS.", 391503)
        place = stages.resolve(session, text)
        one = Import(place.stage, place.path, text)
        stages.require_read(session, one)
        base = PurePosixPath(one.path).name
        if base in found:
            raise compilation_error(
                f"IMPORTS has two files of the name '{base}': '{found[base].text}' and '{text}'. "
                f"Their names must be distinct.",
                391504,
            )
        if stages.find(one) is None:
            raise execution.missing_import(text, "SQL compilation error:\n")
        found[base] = one
    return tuple(found.values())


def _name_with_types(session: Session, read: Reader) -> tuple[Name, Name]:
    """Read `name(type, …)`; return the name, and that by which it is known."""
    name = current(session, read.name(), "the statement")
    read.expect("(")
    kinds: list[str] = []
    if not read.take(")"):
        kinds.append(read_type(read).name)
        while read.take(","):
            kinds.append(read_type(read).name)
        read.expect(")")
    return name, function_name(name, kinds)


def _seen(session: Session, key: Name) -> Function:
    """Return a function that the session's role sees."""
    function = session.account.functions.of(session).get(key)
    if function is None or not session.account.grants.sees(session, "FUNCTION", key):
        raise not_authorized("Function", key)
    return function


def drop(session: Session, read: Reader) -> Rows:
    """DROP FUNCTION.

    See https://docs.snowflake.com/en/sql-reference/sql/drop-function
    """
    read.expect("drop", "function")
    exists = read.take("if", "exists")
    name, key = _name_with_types(session, read)
    read.end()
    functions, grants = session.account.functions, session.account.grants
    if exists and (key not in functions.by_name or not grants.sees(session, "FUNCTION", key)):
        return status("Drop statement executed successfully (object already dropped).")
    _seen(session, key)
    grants.require(session, "OWNERSHIP", "FUNCTION", key)
    del functions.by_name[key]
    grants.forget("FUNCTION", key)
    return status(f"{identifier(name[2])} successfully dropped.")


def comment(session: Session, read: Reader) -> Rows:
    """COMMENT ON FUNCTION.

    See https://docs.snowflake.com/en/sql-reference/sql/comment
    """
    read.expect("comment")
    exists = read.take("if", "exists")
    read.expect("on", "function")
    _, key = _name_with_types(session, read)
    read.expect("is")
    text = read.string()
    read.end()
    functions = session.account.functions
    if exists and key not in functions.by_name:
        return status()
    function = _seen(session, key)
    session.account.grants.require(session, "OWNERSHIP", "FUNCTION", key)
    functions.by_name[key] = replace(function, comment=text)
    return status()


def show(session: Session, read: Reader) -> Rows:
    """SHOW [USER] FUNCTIONS: those that were created.

    See https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
    """
    read.expect("show")
    read.take("user")
    read.expect("functions")
    like = read.string() if read.take("like") else None
    scope = in_scope(session, read)
    shown = [
        one
        for key, one in sorted(session.account.functions.of(session).items())
        if key[: len(scope)] == scope
        and session.account.grants.sees(session, "FUNCTION", key, shown=True)
        and (like is None or like_matches(like, one.name[2]))
    ]
    columns = [
        ("created_on", "timestamptz"),
        *texts("name schema_name is_builtin is_aggregate is_ansi"),
        ("min_num_arguments", "integer"),
        ("max_num_arguments", "integer"),
        *texts(
            "arguments description catalog_name is_table_function valid_for_clustering is_secure"
            " secrets external_access_integrations is_external_function language is_memoizable"
            " is_data_metric"
        ),
    ]
    return Rows(columns, [_shown(one) for one in shown])


def _shown(one: Function) -> tuple[Any, ...]:
    count = len(one.parameters)
    return (
        one.created_on.isoformat(),
        one.name[2],
        one.name[1],
        "N",
        "N",
        "N",
        count,
        count,
        f"{one.arguments} RETURN {one.returns.name}",
        one.comment or DEFAULT_DESCRIPTION,
        one.name[0],
        "N",
        "N",
        "N",
        None,
        None,
        "N",
        "PYTHON",
        "N",
        "N",
    )


def describe(session: Session, read: Reader) -> Rows:
    """DESCRIBE FUNCTION: one row a property.

    See https://docs.snowflake.com/en/sql-reference/sql/desc-function
    """
    read.next()
    read.expect("function")
    _, key = _name_with_types(session, read)
    read.end()
    one = _seen(session, key)
    signature = ", ".join(f"{identifier(name)} {kind.name}" for name, kind in one.parameters)
    installed = session.account.packages.environment(one.repository).resolved(one.packages)
    versions = sorted(f"{name}=={package.version}" for name, package in installed.items())
    properties = {
        "signature": f"({signature})",
        "returns": one.returns.full_name + ("" if one.is_nullable else " NOT NULL"),
        "language": "PYTHON",
        "null handling": "RETURNS NULL ON NULL INPUT" if one.is_strict else "CALLED ON NULL INPUT",
        "volatility": "IMMUTABLE" if one.is_immutable else "VOLATILE",
        "body": one.body,
        "imports": f"[{', '.join(place.text for place in one.imports)}]",
        "handler": one.handler,
        "runtime_version": one.runtime_version,
        "packages": _listed(one.packages),
        "installed_packages": _listed(versions),
        "artifact_repository": ".".join(one.repository),
        "is_aggregate": "false",
    }
    return Rows(texts("property value"), list(properties.items()))


def _listed(items: Sequence[str]) -> str:
    return "[" + ",".join(f"'{item}'" for item in items) + "]"


STATEMENTS: list[tuple[tuple[str, ...], Callable[[Session, Reader], Rows]]] = [
    (("drop", "function"), drop),
    (("show", "functions"), show),
    (("show", "user", "functions"), show),
    (("describe", "function"), describe),
    (("desc", "function"), describe),
    (("comment", "on", "function"), comment),
    (("comment", "if", "exists", "on", "function"), comment),
]


# Calls.


def unknown(name: Name) -> ProgrammingError:
    """Return the error for a missing function."""
    return compilation_error(f"Unknown function {qualified(name)}.", 2140, "42601")


def invalid_arguments(name: Name, kinds: str) -> ProgrammingError:
    """Return the error for arguments that a function does not take."""
    return compilation_error(
        f"Invalid argument types for function '{qualified(name)}': ({kinds})", 1044, "42P13"
    )


def rewrite_calls(session: Session, tree: Expr) -> Expr:
    """Replace calls of our functions by DuckDB's, if the role may call them.

    See https://docs.snowflake.com/en/developer-guide/udf/udf-calling-sql
    """
    for node in list(tree.find_all(exp.Anonymous)):
        outer, parts = _qualifiers(node)
        function = _function_called(session, node, parts)
        if function is None:
            continue
        grants = session.account.grants
        grants.require(session, "USAGE", "FUNCTION", function.grant_name)
        packages.require_repository(session, function.repository)
        arguments = node.expressions or [exp.true()]
        call: Expr = exp.Anonymous(this=function.duck_name, expressions=arguments)
        if function.returns.is_json:
            call = exp.Cast(this=call, to=exp.DataType.build("JSON", dialect="duckdb"))
        if outer is tree:
            tree = call
        else:
            outer.replace(call)
    return tree


def _qualifiers(node: exp.Anonymous) -> tuple[Expr, Name]:
    """Return the call, and the folded parts of its name."""
    outer: Expr = node
    before: list[exp.Identifier] = []
    if isinstance(node.parent, exp.Dot) and node.parent.expression is node:
        outer = node.parent
        before = list(node.parent.this.find_all(exp.Identifier, bfs=False))
    identifiers = [*before, node.this]
    return outer, tuple(_folded(one) for one in identifiers)


def _folded(one: exp.Identifier | str) -> str:
    if isinstance(one, exp.Identifier):
        return one.name if one.quoted else one.name.upper()
    return one.upper()


def _function_called(session: Session, node: exp.Anonymous, parts: Name) -> Function | None:
    """Return the function of a call, or None for one of Snowflake's or fakesnow's own."""
    functions = session.account.functions
    is_qualified = len(parts) > 1
    if len(parts) > 3 or (not is_qualified and not (session.database and session.schema)):
        return None
    name = current(session, parts, "SELECT")
    function = functions.called(session, name, len(node.expressions))
    if function is not None:
        return function
    if functions.named(session, name):
        raise invalid_arguments(name, ", ".join(_literal_type(one) for one in node.expressions))
    is_quoted = isinstance(node.this, exp.Identifier) and node.this.quoted
    if is_quoted or (is_qualified and not _is_of_fakesnow(name)):
        raise unknown(name)
    return None


def _is_of_fakesnow(name: Name) -> bool:
    """Whether a call names what Snowflake or fakesnow keep in schemas of their own."""
    return name[0] in ("SNOWFLAKE", "_FS_GLOBAL", "SYSTEM") or name[1].startswith("_FS_")


def _literal_type(argument: Expr) -> str:
    if isinstance(argument, exp.Literal):
        return "VARCHAR" if argument.is_string else "NUMBER"
    if isinstance(argument, exp.Cast):
        return argument.to.sql(dialect="snowflake")
    return "VARIANT"


@contextmanager
def errors(session: Session) -> Iterator[None]:
    """Translate DuckDB's errors on functions into Snowflake's."""
    try:
        yield
    except ProgrammingError as error:
        text = error.raw_msg or ""
        if match := re.search(rf"'{PREFIX}(\d+)\((.*?)\)'", text):
            duck_name = f"{PREFIX}{match[1]}"
            found = session.account.functions.by_name.values()
            name = next(one.name for one in found if one.duck_name == duck_name)
            kinds = match[2].replace("INTEGER_LITERAL", "NUMBER").replace("STRING_LITERAL", "TEXT")
            raise invalid_arguments(name, kinds) from None
        if match := re.search(r"Scalar Function with name \"?(\w+)\"? does not exist", text):
            raise unknown((match[1].upper(),)) from None
        raise
