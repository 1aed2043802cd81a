"""Databases, schemas, and a session's current ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakesnow import info_schema, macros
from snowflake.connector.errors import ProgrammingError

from local_snowflake.errors import compilation_error
from local_snowflake.grants import Name, not_authorized
from local_snowflake.rows import Rows, status, texts
from local_snowflake.statements import (
    Reader,
    duck,
    first_words,
    identifier,
    like_matches,
    literal,
    qualified,
    unquoted,
)

if TYPE_CHECKING:
    from local_snowflake.session import Session

HIDDEN = ("main", "pg_catalog", "information_schema", "_fs_information_schema")
FAKESNOWS = ("memory", "system", "temp", "_fs_global")
# When schemas were created is not recorded.
EPOCH = "1970-01-01 00:00:00+00"


def current(session: Session, name: Name, command: str) -> Name:
    """Return a schema object's name, completed with the session's database and schema."""
    if len(name) > 3:
        raise compilation_error(f"syntax error: '{qualified(name)}' has more than three parts.")
    if len(name) < 3 and not session.database:
        raise _no_current(command, "database", 90105)
    if len(name) < 2 and not session.schema:
        raise _no_current(command, "schema", 90106)
    missing = (session.database or "", session.schema or "")[: 3 - len(name)]
    return (*missing, *name)


def current_schema(session: Session, name: Name, command: str) -> Name:
    """Return a schema's name, completed with the session's database."""
    if len(name) > 2:
        raise compilation_error(f"syntax error: '{qualified(name)}' is not a schema.")
    if len(name) == 1 and not session.database:
        raise _no_current(command, "database", 90105)
    return name if len(name) == 2 else (session.database or "", *name)


def _no_current(command: str, what: str, errno: int) -> ProgrammingError:
    return ProgrammingError(
        msg=f"Cannot perform {command}. This session does not have a current {what}."
        f" Call 'USE {what.upper()}', or use a qualified name.",
        errno=errno,
        sqlstate="22000",
    )


def database_exists(session: Session, database: str) -> bool:
    """Whether there is a database with exactly this name."""
    return database in databases(session)


def schema_exists(session: Session, name: Name) -> bool:
    """Whether there is a schema with exactly this name."""
    return name[1] in schemas(session, name[0])


def databases(session: Session) -> list[str]:
    """Return the names of all databases."""
    found = session.query("select database_name from duckdb_databases()")
    return sorted(row[0] for row in found if row[0] not in FAKESNOWS)


def schemas(session: Session, database: str) -> list[str]:
    """Return the names of a database's schemas."""
    found = session.query(
        f"select schema_name from duckdb_schemas() where database_name = {literal(database)}"
    )
    return sorted(row[0] for row in found if row[0] not in HIDDEN)


def require_schema(session: Session, name: Name) -> None:
    """Raise Snowflake's error unless there is a schema that the session's role may use."""
    require_database(session, name[0])
    if not schema_exists(session, name):
        raise not_authorized("Schema", name)
    if not session.account.grants.sees(session, "SCHEMA", name):
        raise not_authorized("Schema", name)


def require_database(session: Session, name: str) -> None:
    """Raise Snowflake's error unless there is a database that the session's role may use."""
    if not database_exists(session, name):
        raise not_authorized("Database", (name,))
    if not session.account.grants.sees(session, "DATABASE", (name,)):
        raise not_authorized("Database", (name,))


def in_scope(session: Session, read: Reader) -> Name:
    """Read `in account | in [database] d | in [schema] s` of SHOW; `()` is the account."""
    if not read.take("in"):
        read.end()
        return tuple(part for part in (session.database, session.schema) if part)
    if read.take("account"):
        read.end()
        return ()
    if read.take("database"):
        name = read.name() if read.peek() else (session.database or "",)
        read.end()
        require_database(session, name[0])
        return name
    read.take("schema")
    name = current_schema(session, read.name(), "SHOW")
    read.end()
    require_database(session, name[0])
    try:
        require_schema(session, name)
    except ProgrammingError:
        # dbt-snowflake expects this number, for a schema that it is yet to create.
        raise compilation_error(
            "Object does not exist, or operation cannot be performed.", 2043, "02000"
        ) from None
    return name


def handle(session: Session, sql: str) -> Rows | None:
    """Handle CREATE, DROP and USE of databases and schemas."""
    words = first_words(sql, 5)
    if words[:1] == ["create"] and "clone" not in words:
        kinds = [word for word in words[1:4] if word in ("database", "schema")]
        before = words[1 : words.index(kinds[0])] if kinds else ["x"]
        if all(word in ("or", "replace", "transient") for word in before):
            return _create(session, Reader(sql))
    if words[:1] == ["drop"] and words[1:2] in (["database"], ["schema"]):
        return _drop(session, Reader(sql))
    if words[:1] == ["use"]:
        return _use(session, Reader(sql))
    if words[:2] == ["show", "schemas"] or words[:3] == ["show", "terse", "schemas"]:
        return _show(session, Reader(sql))
    return None


def _create(session: Session, read: Reader) -> Rows | None:
    read.expect("create")
    replace = read.take("or", "replace")
    read.take("transient")
    kind = read.next().text.upper()
    exists = read.take("if", "not", "exists")
    if replace and exists:
        raise compilation_error("options IF NOT EXISTS and OR REPLACE are incompatible.")
    name = read.name()
    while read.peek() and not read.take(";"):
        if read.take("clone"):
            return None  # fakesnow's
        if read.take("comment") or read.take("data_retention_time_in_days"):
            read.expect("=")
            read.next()
        elif not read.take("with", "managed", "access"):
            read.fail()
    read.end()
    if kind == "DATABASE":
        return create_database(session, name[0], replace=replace, exists=exists)
    name = current_schema(session, name, "CREATE SCHEMA")
    return create_schema(session, name, replace=replace, exists=exists)


def create_database(
    session: Session, name: str, *, replace: bool = False, exists: bool = False
) -> Rows:
    """Create a database with its schema PUBLIC, and use it."""
    grants = session.account.grants
    grants.require(session, "CREATE DATABASE", "ACCOUNT", ())
    if database_exists(session, name):
        if exists:
            return status(f"{identifier(name)} already exists, statement succeeded.")
        if not replace:
            raise _exists(identifier(name))
        grants.require(session, "OWNERSHIP", "DATABASE", (name,))
        _drop_database(session, name)
    _refuse_other_case(name, databases(session))
    keep = session.account.keep
    place = str(keep.database(name)) if keep else ":memory:"
    session.run(f"attach {literal(place)} as {duck(name)}")
    for create in (info_schema.per_db_creation_sql, macros.creation_sql):
        session.run(_for_catalog(create("FS_CATALOG"), name))
    session.run(f"create schema {duck(name, 'PUBLIC')}")
    grants.created(session, "DATABASE", (name,))
    grants.created(session, "SCHEMA", (name, "PUBLIC"))
    use(session, name, "PUBLIC")
    return status(f"Database {identifier(name)} successfully created.")


def _for_catalog(sql: str, name: str) -> str:
    return sql.replace("'FS_CATALOG'", literal(name)).replace("FS_CATALOG", duck(name))


def create_schema(
    session: Session, name: Name, *, replace: bool = False, exists: bool = False
) -> Rows:
    """Create a schema, and use it."""
    grants = session.account.grants
    if not database_exists(session, name[0]):
        raise not_authorized("Database", name[:1])
    grants.require(session, "CREATE SCHEMA", "DATABASE", name[:1])
    if schema_exists(session, name):
        if exists:
            return status(f"{identifier(name[1])} already exists, statement succeeded.")
        if not replace:
            raise _exists(identifier(name[1]))
        grants.require(session, "OWNERSHIP", "SCHEMA", name)
        _drop_schema(session, name)
    _refuse_other_case(name[1], schemas(session, name[0]))
    session.run(f"create schema {duck(*name)}")
    grants.created(session, "SCHEMA", name)
    use(session, *name)
    return status(f"Schema {identifier(name[1])} successfully created.")


def _refuse_other_case(name: str, taken: list[str]) -> None:
    for other in (*taken, *HIDDEN, *FAKESNOWS):
        if other.upper() == name.upper():
            raise compilation_error(
                f"{identifier(name)} differs from {identifier(other)} in case only: Snowflake"
                " tells them apart, the DuckDB under this local Snowflake does not.",
                2002,
                "42710",
            )


def _drop(session: Session, read: Reader) -> Rows:
    read.expect("drop")
    kind = read.next().text.upper()
    exists = read.take("if", "exists")
    name = read.name()
    read.take_any("cascade", "restrict")
    read.end()
    if kind == "SCHEMA":
        name = current_schema(session, name, "DROP SCHEMA")
    there = database_exists(session, name[0]) and (
        kind == "DATABASE" or schema_exists(session, name)
    )
    if not there and exists:
        return status("Drop statement executed successfully (object already dropped).")
    if not there:
        raise not_authorized(kind.capitalize(), name)
    session.account.grants.require(session, "OWNERSHIP", kind, name)
    if kind == "DATABASE":
        _drop_database(session, name[0])
    else:
        _drop_schema(session, name)
    return status(f"{identifier(name[-1])} successfully dropped.")


def _drop_database(session: Session, name: str) -> None:
    if session.database == name:
        use(session, None, None)
    # DuckDB refuses to detach a database that a different session uses.
    session.leave(name)
    session.run(f"detach {duck(name)}")
    if session.account.keep:
        session.account.keep.forget(name)
    _forget(session, "DATABASE", (name,))


def _drop_schema(session: Session, name: Name) -> None:
    if (session.database, session.schema) == name:
        use(session, name[0], None)
    session.run(f"drop schema {duck(*name)} cascade")
    _forget(session, "SCHEMA", name)


def _forget(session: Session, kind: str, name: Name) -> None:
    session.account.stages.drop_in(name)
    session.account.grants.forget(kind, name)
    for dropped in session.account.on_drop:
        dropped(name)


def _show(session: Session, read: Reader) -> Rows:
    """SHOW SCHEMAS.

    https://docs.snowflake.com/en/sql-reference/sql/show-schemas
    """
    read.expect("show")
    is_terse = read.take("terse")
    read.expect("schemas")
    read.take("history")
    like = read.string() if read.take("like") else None
    wanted = databases(session)
    if read.take("in"):
        if not read.take("account"):
            is_named = not read.take("database") or not read.at_end()
            wanted = [read.name()[0] if is_named else session.database or ""]
            require_database(session, wanted[0])
    elif session.database:
        wanted = [session.database]
    starts = read.string() if read.take("starts", "with") else ""
    limit = int(read.next().text) if read.take("limit") else None
    read.end()

    grants = session.account.grants
    shown = [
        (database, name)
        for database in wanted
        for name in sorted([*schemas(session, database), "INFORMATION_SCHEMA"])
        if (like is None or like_matches(like, name))
        and name.startswith(starts)
        and grants.sees(
            session,
            *(
                ("DATABASE", (database,))
                if name == "INFORMATION_SCHEMA"
                else ("SCHEMA", (database, name))
            ),
            shown=True,
        )
    ][:limit]
    if is_terse:
        columns = [("created_on", "timestamptz"), *texts("name kind database_name schema_name")]
        return Rows(columns, [(EPOCH, name, None, database, None) for database, name in shown])
    columns = [
        ("created_on", "timestamptz"),
        *texts("name is_default is_current database_name owner comment options retention_time"),
        *texts("owner_role_type"),
    ]
    rows = [
        (
            EPOCH,
            name,
            "N",
            "Y" if (database, name) == (session.database, session.schema) else "N",
            database,
            "" if name == "INFORMATION_SCHEMA" else grants.owner("SCHEMA", (database, name)),
            grants.comments.get(f"SCHEMA {qualified((database, name))}", ""),
            "",
            "1",
            "" if name == "INFORMATION_SCHEMA" else "ROLE",
        )
        for database, name in shown
    ]
    return Rows(columns, rows)


def _use(session: Session, read: Reader) -> Rows | None:
    read.expect("use")
    kind = read.take_any("role", "warehouse", "database", "schema", "catalog")
    if kind is None and read.take("secondary", "roles"):
        return _use_secondary(session, read)
    name = read.name()
    read.end()
    if kind == "warehouse":
        session.warehouse = name[-1]
    elif kind == "role":
        session.account.grants.require_role(session, name[-1])
        session.role = name[-1]
    elif kind == "schema" or (kind is None and len(name) == 2):
        name = current_schema(session, name, "USE SCHEMA")
        require_schema(session, name)
        use(session, *name)
    else:
        require_database(session, name[0])
        use(session, name[0], "PUBLIC" if "PUBLIC" in schemas(session, name[0]) else None)
    return status()


def _use_secondary(session: Session, read: Reader) -> Rows:
    """USE SECONDARY ROLES.

    https://docs.snowflake.com/en/sql-reference/sql/use-secondary-roles
    """
    word = read.take_any("all", "none")
    names: list[str] = []
    if word is None:
        names.append(read.name()[-1])
        while read.take(","):
            names.append(read.name()[-1])
    read.end()
    for name in names:
        session.account.grants.require_role(session, name)
    session.secondary_roles = "ALL" if word == "all" else tuple(names)
    return status()


def use(session: Session, database: str | None, schema: str | None) -> None:
    """Make an existing database and schema the session's current ones."""
    place = duck(database or "memory", schema or "main")
    session.run(f"set schema = {literal(place)}")
    session.database, session.database_set = database, database is not None
    session._schema, session.schema_set = schema, schema is not None


def log_in(session: Session, database: str | None, schema: str | None) -> None:
    """Use the database and the schema that a login names, if they exist.

    A login succeeds also where they do not; the session then has no current one.
    """
    if not database:
        return
    name = unquoted(database)
    if not _visible(session, "DATABASE", (name,)) or not database_exists(session, name):
        return
    wanted = unquoted(schema) if schema else "PUBLIC"
    if schema and wanted == "INFORMATION_SCHEMA":
        use(session, name, None)
    elif wanted in schemas(session, name) and _visible(session, "SCHEMA", (name, wanted)):
        use(session, name, wanted)
    else:
        use(session, name, None)


def _visible(session: Session, kind: str, name: Name) -> bool:
    return session.account.grants.sees(session, kind, name)


def _exists(label: str) -> ProgrammingError:
    return compilation_error(f"Object '{label}' already exists.", 2002, "42710")
