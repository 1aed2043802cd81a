"""Roles and grants of the local Snowflake, through the real connector."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from snowflake.connector.errors import DatabaseError, ProgrammingError
from snowflake_projects import LocalSnowflake, serve

pytestmark = pytest.mark.exhaustive

USAGE = ["usage on database {database}", "usage on schema {database}.models"]


@dataclass(frozen=True)
class Account:
    """A database with a schema, a stage and a file in it, and a role that may do nothing."""

    server: LocalSnowflake
    database: str
    role: str
    file: Path

    def text(self, sql: str) -> str:
        return sql.format(database=self.database, role=self.role, file=self.file)

    def admin(self, *statements: str) -> None:
        for sql in statements:
            self.server.execute(self.text(sql), database=self.database)

    def grant(self, *privileges: str) -> None:
        self.admin(*(f"grant {privilege} to role {{role}}" for privilege in privileges))

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement as the role."""
        return self.server.execute(self.text(sql), role=self.role)

    def fails(self, sql: str, errno: int, message: str) -> None:
        with pytest.raises(ProgrammingError) as caught:
            self.execute(sql)
        text = str(caught.value.msg)
        assert caught.value.errno == errno, text
        assert message.format(database=self.database.upper(), role=self.role.upper()) in text


@pytest.fixture
def account(local_snowflake: LocalSnowflake, tmp_path: Path) -> Account:
    return new_account(local_snowflake, tmp_path)


def new_account(server: LocalSnowflake, folder: Path) -> Account:
    file = folder / "a.zip"
    file.write_bytes(b"some bytes")
    role = f"role_{secrets.token_hex(4)}"
    account = Account(server, server.new_database(), role, file)
    account.admin(
        "create role {role}",
        "grant role {role} to user tester",
        "create schema models",
        "create stage models.models encryption = (type = 'SNOWFLAKE_SSE')",
        "put 'file://{file}' @models.models auto_compress = false",
    )
    return account


PUT = "put 'file://{file}' @{database}.models.models auto_compress = false overwrite = true"
LIST = "list @{database}.models.models"
REMOVE = "remove @{database}.models.models"


# Roles


def test_a_role_is_used_when_it_is_granted(local_snowflake: LocalSnowflake) -> None:
    role = f"role_{secrets.token_hex(4)}"
    local_snowflake.execute(f"create role {role}")
    with pytest.raises(ProgrammingError, match="is not assigned to the executing user") as caught:
        local_snowflake.execute(f"use role {role}")
    assert caught.value.errno == 3013
    with pytest.raises(DatabaseError, match="specified in the connect string"):
        local_snowflake.connect(role=role)
    local_snowflake.execute(f"grant role {role} to user tester")
    assert local_snowflake.execute("select current_role()", role=role) == [(role.upper(),)]
    local_snowflake.execute(f"revoke role {role} from user tester")
    with pytest.raises(DatabaseError, match="specified in the connect string"):
        local_snowflake.connect(role=role)


def test_use_role_changes_the_role_of_the_session(account: Account) -> None:
    with account.server.connect(database=account.database) as connection:
        cursor = connection.cursor()
        assert cursor.execute("select current_role()").fetchone() == ("ACCOUNTADMIN",)  # pyright: ignore
        cursor.execute(f"use role {account.role}")
        assert cursor.execute("select current_role()").fetchone() == (account.role.upper(),)  # pyright: ignore
        with pytest.raises(ProgrammingError):
            cursor.execute("list @models.models")


def test_a_missing_role_is_said_to_be_missing(local_snowflake: LocalSnowflake) -> None:
    with pytest.raises(DatabaseError, match="Role 'NOBODY' specified in the connect string"):
        local_snowflake.connect(role="nobody")
    with pytest.raises(ProgrammingError, match="'NOBODY' does not exist or not authorized"):
        local_snowflake.execute("use role nobody")
    with pytest.raises(ProgrammingError, match="Role 'NOBODY' does not exist or not authorized"):
        local_snowflake.execute("drop role nobody")
    local_snowflake.execute("drop role if exists nobody")


def test_create_role_says_whether_it_was_there(local_snowflake: LocalSnowflake) -> None:
    role = f"ROLE_{secrets.token_hex(4).upper()}"
    create = f"create role {role} comment = 'for a test'"
    assert local_snowflake.execute(create) == [(f"Role {role} successfully created.",)]
    with pytest.raises(ProgrammingError, match="already exists"):
        local_snowflake.execute(create)
    local_snowflake.execute(f"create role if not exists {role}")
    assert local_snowflake.execute(f"drop role {role}") == [(f"{role} successfully dropped.",)]


def test_roles_can_be_quoted(account: Account) -> None:
    quoted = f'"my {account.role} ""role"""'
    account.admin(
        f"create role {quoted}",
        f"grant role {quoted} to user tester",
        *(f"grant {privilege} to role {quoted}" for privilege in USAGE),
        f"grant read on stage models.models to role {quoted}",
    )
    assert account.server.execute(account.text(LIST), role=quoted)


def test_a_role_has_what_is_granted_to_the_roles_below_it(account: Account) -> None:
    account.admin(
        "create role {role}_below",
        "grant read on stage models.models to role {role}_below",
        *(f"grant {privilege} to role {{role}}_below" for privilege in USAGE),
    )
    account.fails(LIST, 2003, "Database '{database}' does not exist or not authorized.")
    account.admin("grant role {role}_below to role {role}")
    assert account.execute(LIST)
    account.admin("drop role {role}_below")
    account.fails(LIST, 2003, "Database '{database}' does not exist or not authorized.")


def test_every_role_has_what_is_granted_to_public(account: Account) -> None:
    account.admin(*(f"grant {privilege} to role public" for privilege in USAGE))
    account.admin("grant read on stage models.models to role public")
    assert account.execute(LIST)


@pytest.mark.parametrize("role", ["accountadmin", "sysadmin"])
def test_administrators_may_do_everything(account: Account, role: str) -> None:
    for sql in (PUT, LIST, REMOVE):
        account.server.execute(account.text(sql), role=role)


# What an object needs


@pytest.mark.parametrize(
    ("granted", "errno", "message"),
    [
        ([], 2003, "Database '{database}' does not exist or not authorized."),
        (USAGE[:1], 2003, "Schema '{database}.MODELS' does not exist or not authorized."),
        (USAGE, 2003, "Stage '{database}.MODELS.MODELS' does not exist or not authorized."),
    ],
)
@pytest.mark.parametrize("sql", [PUT, LIST, REMOVE])
def test_what_a_role_may_not_see_does_not_exist(
    account: Account, sql: str, granted: list[str], errno: int, message: str
) -> None:
    account.grant(*granted)
    account.fails(sql, errno, message)


def test_reading_a_stage_is_not_writing_it(account: Account) -> None:
    account.grant(*USAGE, "read on stage {database}.models.models")
    assert account.execute(LIST)
    for sql in (PUT, REMOVE):
        account.fails(sql, 3001, "Insufficient privileges to operate on stage 'MODELS'")
    account.grant("write on stage {database}.models.models")
    for sql in (PUT, REMOVE):
        account.execute(sql)


def test_a_revoked_privilege_is_gone(account: Account) -> None:
    account.grant(*USAGE, "read, write on stage {database}.models.models")
    account.execute(PUT)
    account.admin("revoke write on stage models.models from role {role}")
    account.fails(PUT, 3001, "Insufficient privileges to operate on stage 'MODELS'")
    account.admin("revoke usage on schema models from role {role}")
    account.fails(LIST, 2003, "Schema '{database}.MODELS' does not exist or not authorized.")


def test_writing_a_stage_needs_reading_it(account: Account) -> None:
    write = "grant write on stage models.models to role {role}"
    with pytest.raises(ProgrammingError, match="READ"):
        account.admin(write)
    account.admin("grant read on stage models.models to role {role}", write)
    with pytest.raises(ProgrammingError, match="WRITE"):
        account.admin("revoke read on stage models.models from role {role}")


@pytest.mark.parametrize(
    ("create", "kind", "name"),
    [
        ("schema {database}.own", "database", "{database}"),
        ("schema if not exists {database}.models", "database", "{database}"),
        ("stage {database}.models.own", "schema", "MODELS"),
        ("stage if not exists {database}.models.own", "schema", "MODELS"),
    ],
)
def test_creating_needs_a_privilege(account: Account, create: str, kind: str, name: str) -> None:
    account.grant(*USAGE)
    message = f"Insufficient privileges to operate on {kind} '{name}'"
    account.fails(f"create {create}", 3001, message)
    where = "{database}" if kind == "database" else "{database}.models"
    account.grant(f"create {create.split()[0]} on {kind} {where}")
    account.execute(f"create {create}")


def test_creating_a_database_or_a_role_needs_a_privilege_on_the_account(account: Account) -> None:
    account.fails("create database {role}", 3001, "Insufficient privileges to operate on")
    account.fails("create role {role}_2", 3001, "Insufficient privileges to operate on")
    account.grant("create database on account", "create role on account")
    account.execute("create database {role}")
    account.execute("create role {role}_2")
    account.execute("drop database {role}")
    account.execute("drop role {role}_2")


def test_a_schema_belongs_to_the_role_that_creates_it(account: Account) -> None:
    account.grant(USAGE[0], "create schema on database {database}")
    for sql in (
        "create schema {database}.own",
        "create stage {database}.own.files",
        "put 'file://{file}' @{database}.own.files",
        "comment on stage {database}.own.files is 'mine'",
        "comment on schema {database}.own is 'mine'",
        "drop stage {database}.own.files",
        "drop schema {database}.own",
    ):
        account.execute(sql)


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("drop stage {database}.models.models", "stage 'MODELS'"),
        ("comment on stage {database}.models.models is 'x'", "stage 'MODELS'"),
        ("drop schema {database}.models", "schema 'MODELS'"),
        ("comment on schema {database}.models is 'x'", "schema 'MODELS'"),
        ("drop database {database}", "database '{database}'"),
        ("grant usage on schema {database}.models to role public", "schema 'MODELS'"),
        ("drop role {role}", "role '{role}'"),
    ],
)
def test_only_an_owner_changes_an_object(account: Account, sql: str, what: str) -> None:
    account.grant(*USAGE, "read on stage {database}.models.models")
    account.fails(sql, 3001, f"Insufficient privileges to operate on {what}")


def test_ownership_can_be_given_away(account: Account) -> None:
    account.grant(*USAGE, "read on stage {database}.models.models")
    give = "grant ownership on stage models.models to role {role}"
    with pytest.raises(ProgrammingError, match="Dependent grant") as caught:
        account.admin(give)
    assert caught.value.errno == 3036
    account.admin(f"{give} copy current grants")
    account.execute("drop stage {database}.models.models")


def test_a_grant_on_what_is_missing_fails(account: Account) -> None:
    for what, missing in (
        ("usage on schema nowhere", "Schema '"),
        ("usage on database nowhere", "Database 'NOWHERE'"),
        ("read on stage models.nothing", "Stage '"),
        ("usage on function models.nothing(varchar)", "Function '"),
    ):
        with pytest.raises(ProgrammingError, match=f"{missing}.*does not exist or not authorized"):
            account.admin(f"grant {what} to role {{role}}")
    with pytest.raises(ProgrammingError, match="Role 'NOBODY' does not exist"):
        account.admin("grant usage on schema models to role nobody")


@pytest.mark.parametrize(
    "what",
    [
        "usage on warehouse compute_wh",
        "select on table models.t",
        'insert, update on view models."my view"',
        "all privileges on all tables in schema models",
        "select on future tables in schema {database}.models",
    ],
)
def test_grants_on_what_is_not_checked_are_taken(account: Account, what: str) -> None:
    account.grant(what)
    account.admin(f"revoke {what} from role {{role}}")
    with pytest.raises(ProgrammingError, match="Role 'NOBODY' does not exist"):
        account.admin(f"grant {what} to role nobody")


def test_show_grants_lists_those_on_tables_too(account: Account) -> None:
    """What dbt's `grants` config looks at, to grant what is missing and revoke the rest."""
    account.admin("create table models.t (a int)", "grant select on table models.t to role {role}")
    rows = account.server.execute(account.text("show grants on table {database}.models.t"))
    assert [(row[1], row[2], row[5]) for row in rows] == [("SELECT", "TABLE", account.role.upper())]


def test_a_privilege_must_fit_its_object(account: Account) -> None:
    with pytest.raises(ProgrammingError, match="Invalid object type 'SCHEMA'"):
        account.grant("read on schema models")


# Functions


FUNCTION = """
create function models.shout(text varchar) returns varchar language python immutable
runtime_version = '3.11' artifact_repository = snowflake.snowpark.pypi_shared_repository
packages = () handler = 'shout' as $$
def shout(text):
    return text.upper()
$$
"""
CALL = "select {database}.models.shout('a')"


def test_calling_a_function_needs_usage_on_it(account: Account) -> None:
    account.admin(FUNCTION)
    account.grant(*USAGE)
    with pytest.raises(ProgrammingError):
        account.execute(CALL)
    account.grant("usage on function {database}.models.shout(varchar)")
    assert account.execute(CALL) == [("A",)]
    account.admin("revoke usage on function models.shout(string) from role {role}")
    with pytest.raises(ProgrammingError):
        account.execute(CALL)


def test_the_comment_of_a_function_is_its_owner_s(account: Account) -> None:
    account.admin(FUNCTION, "comment on function models.shout(varchar) is 'tf_embeddings: loud'")
    account.grant(*USAGE, "usage on function {database}.models.shout(varchar)")
    account.fails(
        "comment on function {database}.models.shout(varchar) is 'x'",
        3001,
        "Insufficient privileges to operate on function",
    )


# Repositories


REPOSITORY = "snowflake.pypi_repository_user"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Account]:
    """An account of its own: what PUBLIC may do, and faults, concern everybody."""
    with serve() as server:
        yield new_account(server, tmp_path)


def is_granted(account: Account) -> bool:
    [(activated, in_session)] = account.execute(
        f"select sys_context('SNOWFLAKE$SESSION', 'IS_DATABASE_ROLE_ACTIVATED', '{REPOSITORY}'),"
        f" is_database_role_in_session('{REPOSITORY}')"
    )
    assert not in_session  # whatever is granted: the name is a qualified one
    return activated == "TRUE"


def test_public_may_use_the_repositories_until_that_is_revoked(own: Account) -> None:
    assert is_granted(own)
    own.admin(f"revoke database role {REPOSITORY} from role public")
    assert not is_granted(own)
    with pytest.raises(ProgrammingError, match="pypi_shared_repository' does not exist"):
        own.admin(FUNCTION)
    own.admin(f"grant database role {REPOSITORY} to role {{role}}")
    assert is_granted(own)
    own.admin(f"grant database role {REPOSITORY} to role public", FUNCTION)


def test_a_database_role_is_granted_by_administrators(account: Account) -> None:
    account.fails(
        f"grant database role {REPOSITORY} to role {{role}}", 3001, "Insufficient privileges"
    )
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        account.admin("grant database role snowflake.no_such_user to role {role}")


def test_an_old_account_has_not_accepted_anaconda_s_terms(
    own: Account, set_fault: Callable[..., None]
) -> None:
    acknowledged = "select system$are_anaconda_terms_acknowledged()"
    anaconda = FUNCTION.replace("pypi", "anaconda")
    assert own.execute(acknowledged) == [(True,)]
    set_fault(own.server, name="anaconda_terms_missing", times=None)
    assert own.execute(acknowledged) == [(False,)]
    with pytest.raises(ProgrammingError, match="Anaconda terms must be accepted") as caught:
        own.admin(anaconda)
    assert caught.value.errno == 391529
    own.admin(FUNCTION)


@pytest.fixture
def set_fault() -> Callable[..., None]:
    def set_fault(server: LocalSnowflake, **fault: object) -> None:
        url = f"http://127.0.0.1:{server.port}/local/faults"
        urlopen(Request(url, data=json.dumps(fault).encode(), method="POST")).close()

    return set_fault


# SHOW


def test_show_grants_on_an_object_names_owner_and_grantees(account: Account) -> None:
    account.grant("read on stage {database}.models.models")
    rows = account.server.execute(account.text("show grants on stage {database}.models.models"))
    assert [(row[1], row[2], row[5]) for row in rows] == [
        ("OWNERSHIP", "STAGE", "ACCOUNTADMIN"),
        ("READ", "STAGE", account.role.upper()),
    ]


def test_show_grants_to_a_role_lists_what_it_has(account: Account) -> None:
    account.grant(*USAGE)
    account.admin(f"grant database role {REPOSITORY} to role {{role}}")
    rows = account.server.execute(account.text("show grants to role {role}"))
    database = account.database.upper()
    assert [(row[1], row[2], row[3]) for row in rows] == [
        ("USAGE", "DATABASE", database),
        ("USAGE", "SCHEMA", f"{database}.MODELS"),
        ("USAGE", "DATABASE_ROLE", "SNOWFLAKE.PYPI_REPOSITORY_USER"),
    ]


def test_show_stages_lists_what_the_role_sees(account: Account) -> None:
    account.grant(*USAGE)
    show = "show stages in schema {database}.models"
    assert account.execute(show) == []
    account.grant("read on stage {database}.models.models")
    assert [row[1] for row in account.execute(show)] == ["MODELS"]


def _names(rows: list[tuple[Any, ...]]) -> list[str]:
    return [row[1] for row in rows]


@pytest.mark.parametrize("show", ["show schemas", "show terse schemas"])
def test_show_schemas_lists_what_the_role_sees(account: Account, show: str) -> None:
    # https://docs.snowflake.com/en/sql-reference/sql/show-schemas
    account.admin('create schema "Case_d"', "create schema hidden")
    everything = account.server.execute(f"{show} in database {account.database}")
    assert _names(everything) == ["Case_d", "HIDDEN", "INFORMATION_SCHEMA", "MODELS", "PUBLIC"]
    in_database = f"{show} like '%E%' in database {{database}}"
    account.fails(in_database, 2003, "Database '{database}' does not exist or not authorized.")
    account.grant("usage on database {database}")
    assert _names(account.execute(in_database)) == ["INFORMATION_SCHEMA"]
    account.grant("create stage on schema {database}.models", 'usage on schema {database}."Case_d"')
    assert _names(account.execute(in_database)) == ["Case_d", "INFORMATION_SCHEMA", "MODELS"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("like 'mod%' in database {database}", ["MODELS"]),
        ("like 'MODELS' in {database}", ["MODELS"]),
        ("like 'm_dels' in {database}", ["MODELS"]),
        (r"like 'm\\_dels' in {database}", []),
        ("in {database} starts with 'mod'", []),
        ("in {database} starts with 'MOD'", ["MODELS"]),
        ("in {database} limit 1", ["INFORMATION_SCHEMA"]),
    ],
)
def test_show_schemas_filters(account: Account, options: str, found: list[str]) -> None:
    # LIKE ignores case and has wildcards, STARTS WITH does neither.
    # https://docs.snowflake.com/en/sql-reference/sql/show-schemas
    shown = account.server.execute(account.text(f"show schemas {options}"))
    assert _names(shown) == found


def test_show_stages_and_functions_filter_by_a_pattern(account: Account) -> None:
    # https://docs.snowflake.com/en/sql-reference/sql/show-stages
    # https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
    account.admin(
        "create stage models.other",
        "create function models.plain() returns int language python runtime_version = '3.11'"
        " handler = 'h' as 'def h(): return 1'",
    )
    for like, stages, functions in (
        ("mod%", ["MODELS"], []),
        ("_lain", [], ["PLAIN"]),
        ("%", ["MODELS", "OTHER"], ["PLAIN"]),
    ):
        for what, found in (("stages", stages), ("user functions", functions)):
            show = f"show {what} like '{like}' in schema {{database}}.models"
            assert _names(account.server.execute(account.text(show))) == found


def test_secondary_roles_count_but_not_for_create_and_show(account: Account) -> None:
    # https://docs.snowflake.com/en/sql-reference/sql/use-secondary-roles
    account.admin(
        "create role {role}_second",
        "grant role {role}_second to user tester",
        *(f"grant {privilege} to role {{role}}_second" for privilege in USAGE),
        "grant read on stage models.models to role {role}_second",
        "grant create stage on schema models to role {role}_second",
    )
    with account.server.connect(role=account.role) as connection:

        def run(sql: str) -> list[tuple[Any, ...]]:
            cursor = connection.cursor()
            cursor.execute(account.text(sql))
            return [tuple(row) for row in cursor.fetchall()]

        second = f"{account.role}_second".upper()
        assert run("select current_secondary_roles()") == [('{"roles":"","value":""}',)]
        with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
            run(LIST)

        run("use secondary roles {role}_second")
        assert run("select current_role(), current_secondary_roles()") == [
            (account.role.upper(), f'{{"roles":"{second}","value":"{second}"}}')
        ]
        assert run(f"select is_role_in_session('{second}')") == [(True,)]
        assert run(LIST)
        with pytest.raises(ProgrammingError, match="Insufficient privileges") as caught:
            run("create stage {database}.models.created")
        assert caught.value.errno == 3001
        assert run("show schemas in database {database}") == []
        assert run("show stages in schema {database}.models") == []
        run("use role {role}_second")
        assert _names(run("show stages in schema {database}.models")) == ["MODELS"]
        run("create stage {database}.models.created")

        run("use role {role}")
        account.admin("revoke role {role}_second from user tester")
        with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
            run(LIST)
        with pytest.raises(ProgrammingError, match="is not assigned to the executing user"):
            run("use secondary roles {role}_second")

        run("use secondary roles all")  # the user has ACCOUNTADMIN
        assert run(REMOVE)
        run("use secondary roles none")
        with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
            run(LIST)


@pytest.mark.parametrize(
    ("options", "value"),
    [("", "ALL"), ("default_secondary_roles = ()", ""), ("default_secondary_roles=('all')", "ALL")],
)
def test_a_user_has_default_secondary_roles(account: Account, options: str, value: str) -> None:
    # https://docs.snowflake.com/en/sql-reference/sql/create-user: ('ALL') unless it says otherwise.
    user = f"user_{secrets.token_hex(4)}"
    other = f"{account.role}_other"
    account.admin(f"create role {other}", f"create user {user} password = 'x' {options}")
    account.admin(f"grant role {other} to user {user}", f"grant role {{role}} to user {user}")

    def secondary() -> dict[str, str]:
        session = {"user": user, "role": account.role}
        [(text,)] = account.server.execute("select current_secondary_roles()", **session)
        return json.loads(text)

    roles = other.upper() if value else ""
    assert secondary() == {"roles": roles, "value": value}
    account.admin(f"alter user {user} set default_secondary_roles = ()")
    assert secondary() == {"roles": "", "value": ""}
    account.admin(f"alter user {user} set default_secondary_roles = ('ALL')")
    assert secondary() == {"roles": other.upper(), "value": "ALL"}


def test_what_was_granted_on_a_dropped_object_is_gone(account: Account) -> None:
    account.grant(*USAGE, "read on stage {database}.models.models")
    account.admin("drop schema models", "create schema models", "create stage models.models")
    account.fails(LIST, 2003, "Schema '{database}.MODELS' does not exist or not authorized.")
