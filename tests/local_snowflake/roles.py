"""Statements on roles and grants: CREATE ROLE, GRANT, REVOKE, SHOW GRANTS, CURRENT_ROLE()."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from snowflake.connector.errors import ProgrammingError
from sqlglot import Expr, exp

from local_snowflake.errors import compilation_error
from local_snowflake.grants import (
    ADMINS,
    OF_EXTERNAL_STAGE,
    PRIVILEGES,
    REPOSITORY_ROLES,
    SYSTEM_ROLES,
    Grant,
    Name,
    function_name,
    insufficient,
    not_authorized,
)
from local_snowflake.namespaces import (
    current,
    current_schema,
    database_exists,
    schema_exists,
)
from local_snowflake.rows import Rows, status, texts
from local_snowflake.statements import Reader, first_words, identifier, qualified, unquoted

if TYPE_CHECKING:
    from local_snowflake.session import Session

SESSION_NAMES = {
    exp.CurrentRole: "role",
    exp.CurrentUser: "user",
    exp.CurrentWarehouse: "warehouse",
    exp.CurrentDatabase: "database",
    exp.CurrentSchema: "schema",
}
KINDS = ("account", "database", "schema", "stage", "function")
# Privileges on these are not checked, only recorded for SHOW GRANTS.
UNCHECKED = ("table", "view", "warehouse", "all", "future")


def handle(session: Session, sql: str) -> Rows | None:
    """Handle statements on roles and grants."""
    words = first_words(sql, 5)
    for begins, answer in STATEMENTS:
        if words[: len(begins)] == list(begins):
            return answer(session, Reader(sql))
    return None


def create_role(session: Session, read: Reader) -> Rows:
    """CREATE ROLE."""
    read.expect("create")
    replace = read.take("or", "replace")
    read.expect("role")
    exists = read.take("if", "not", "exists")
    role = _role(read)
    text = ""
    if read.take("comment"):
        read.expect("=")
        text = read.string()
    read.end()
    grants = session.account.grants
    creates = _may_manage(session, primary=True)
    if not creates and not grants.has(session, "CREATE ROLE", "ACCOUNT", ()):
        raise insufficient("ACCOUNT", ())
    if role in grants.roles and exists:
        return status(f"{identifier(role)} already exists, statement succeeded.")
    if role in SYSTEM_ROLES or (role in grants.roles and not replace):
        raise compilation_error(f"Object '{identifier(role)}' already exists.", 2002, "42710")
    _forget_role(session, role)
    grants.roles[role] = set()
    grants.comments[role] = text
    grants.owners[("ROLE", (role,))] = session.role
    return status(f"Role {identifier(role)} successfully created.")


def create_user_or_warehouse(session: Session, read: Reader) -> Rows:
    """CREATE USER, CREATE WAREHOUSE: most of their properties are ignored.

    A new user has no role but PUBLIC, and all granted roles as secondary ones unless
    DEFAULT_SECONDARY_ROLES = (); a warehouse is nothing here.
    https://docs.snowflake.com/en/sql-reference/sql/create-user
    """
    read.expect("create")
    kind = read.take_any("user", "warehouse") or read.fail()
    exists = read.take("if", "not", "exists")
    name = _role(read)
    grants = session.account.grants
    creates = _may_manage(session, primary=True)
    if not creates and not grants.has(session, f"CREATE {kind}", "ACCOUNT", ()):
        raise insufficient("ACCOUNT", ())
    if kind.lower() == "user" and name in grants.users:
        if exists:
            return status(f"{identifier(name)} already exists, statement succeeded.")
        raise compilation_error(f"Object '{identifier(name)}' already exists.", 2002, "42710")
    if kind.lower() == "user":
        grants.users[name] = set()
        _default_secondary_roles(session, name, read, default=True)
    return status(f"{kind.capitalize()} {identifier(name)} successfully created.")


def alter_user(session: Session, read: Reader) -> Rows:
    """ALTER USER … SET DEFAULT_SECONDARY_ROLES = ('ALL') | ().

    https://docs.snowflake.com/en/sql-reference/sql/alter-user
    """
    read.expect("alter", "user")
    exists = read.take("if", "exists")
    name = _role(read)
    grants = session.account.grants
    if name not in grants.users and exists:
        return status()
    if not _may_manage(session):
        raise insufficient("USER", (name,))
    grants.roles_of_user(name)
    read.expect("set")
    _default_secondary_roles(session, name, read, default=name in grants.with_secondary_roles)
    return status()


def _default_secondary_roles(session: Session, user: str, read: Reader, *, default: bool) -> None:
    users = session.account.grants.with_secondary_roles
    wanted = default
    while not read.at_end():
        if not read.take("default_secondary_roles"):
            read.next()
            continue
        read.expect("=", "(")
        wanted = not read.take(")")
        if wanted and read.string().upper() != "ALL":
            read.fail()
    (users.add if wanted else users.discard)(user)


def drop_role(session: Session, read: Reader) -> Rows:
    """DROP ROLE."""
    read.expect("drop", "role")
    exists = read.take("if", "exists")
    role = _role(read)
    read.end()
    if role not in session.account.grants.roles:
        if exists:
            return status("Drop statement executed successfully (object already dropped).")
        raise not_authorized("Role", (role,))
    if role in SYSTEM_ROLES or not _owns_role(session, role):
        raise insufficient("ROLE", (role,))
    _forget_role(session, role)
    return status(f"{identifier(role)} successfully dropped.")


def _forget_role(session: Session, role: str) -> None:
    grants = session.account.grants
    grants.roles.pop(role, None)
    grants.owners.pop(("ROLE", (role,)), None)
    for holders in (
        *grants.roles.values(),
        *grants.users.values(),
        *grants.database_roles.values(),
    ):
        holders.discard(role)
    grants.grants = {grant: since for grant, since in grants.grants.items() if grant.role != role}
    # The role that drops a role gets its objects.
    grants.owners = {
        key: session.role if owner == role else owner for key, owner in grants.owners.items()
    }


def grant(session: Session, read: Reader) -> Rows:
    """GRANT privileges, roles, database roles and ownership."""
    read.expect("grant")
    if read.take("role"):
        return _role_to(session, read, give=True)
    if read.take("database", "role"):
        return _database_role_to(session, read, give=True)
    if read.take("ownership"):
        return _ownership(session, read)
    return _privileges(session, read, give=True)


def revoke(session: Session, read: Reader) -> Rows:
    """REVOKE privileges, roles and database roles."""
    read.expect("revoke")
    read.take("grant", "option", "for")
    if read.take("role"):
        return _role_to(session, read, give=False)
    if read.take("database", "role"):
        return _database_role_to(session, read, give=False)
    return _privileges(session, read, give=False)


def _role_to(session: Session, read: Reader, *, give: bool) -> Rows:
    grants = session.account.grants
    role = _existing_role(session, read)
    read.expect("to" if give else "from")
    if read.take("user"):
        user = _role(read)
        holders = grants.users.setdefault(user, {"ACCOUNTADMIN"})
    else:
        read.expect("role")
        holders = grants.roles[_existing_role(session, read)]
    read.end()
    if not _owns_role(session, role):
        raise insufficient("ROLE", (role,))
    (holders.add if give else holders.discard)(role)
    return status()


def _database_role_to(session: Session, read: Reader, *, give: bool) -> Rows:
    role = ".".join(read.name())
    read.expect("to" if give else "from", "role")
    holder = _existing_role(session, read)
    read.end()
    if role not in REPOSITORY_ROLES:
        raise compilation_error(
            f"Database role '{role}' does not exist or not authorized.", 2003, "02000"
        )
    if not _may_manage(session):
        raise insufficient("DATABASE ROLE", (role,))
    holders = session.account.grants.database_roles[role]
    (holders.add if give else holders.discard)(holder)
    return status()


def _ownership(session: Session, read: Reader) -> Rows:
    grants = session.account.grants
    read.expect("on")
    kind, name = _object(session, read)
    read.expect("to", "role")
    role = _existing_role(session, read)
    mode = read.take_any("copy", "revoke")
    if mode:
        read.expect("current", "grants")
    read.end()
    if not _may_manage(session):
        grants.require(session, "OWNERSHIP", kind, name)
    held = [grant for grant in grants.grants if (grant.kind, grant.name) == (kind, name)]
    if held and mode is None:
        raise ProgrammingError(
            msg="SQL execution error:\nDependent grant of privilege"
            f" '{held[0].privilege}' on securable '{qualified(name)}' to role"
            f" '{held[0].role}' exists. It must be revoked first. More than one dependent grant"
            " may exist: use 'SHOW GRANTS' command to view them. To revoke all dependent grants"
            " while transferring object ownership, use convenience command 'GRANT OWNERSHIP ON"
            " <target_objects> TO <target_role> REVOKE CURRENT GRANTS'.",
            errno=3036,
            sqlstate="42501",
        )
    if mode == "revoke":
        for grant in held:
            del grants.grants[grant]
    grants.owners[(kind, name)] = role
    return status()


def _privileges(session: Session, read: Reader, *, give: bool) -> Rows:
    grants = session.account.grants
    privileges = [_privilege(read)]
    while read.take(","):
        privileges.append(_privilege(read))
    read.expect("on")
    kind, name = _object(session, read)
    read.expect("to" if give else "from")
    read.take("role")
    role = _existing_role(session, read)
    if give:
        read.take("with", "grant", "option")
    else:
        read.take_any("restrict", "cascade")
    read.end()
    stage = session.account.stages.stages.get(name) if kind == "STAGE" else None
    by_kind = {**PRIVILEGES, "STAGE": OF_EXTERNAL_STAGE} if stage and stage.url else PRIVILEGES
    if "ALL" in privileges:
        every = by_kind.get(kind, ("ALL",))
        privileges = [privilege for privilege in every if privilege != "OWNERSHIP"]
    known = by_kind.get(kind, privileges)
    for privilege in privileges:
        if privilege not in known or privilege == "OWNERSHIP":
            raise compilation_error(
                f"Invalid object type '{kind}' for privilege '{privilege}'", 3008, "42501"
            )
    if kind == "ACCOUNT":
        if not _may_manage(session):
            raise insufficient("ACCOUNT", ())
    elif kind in PRIVILEGES and not _may_manage(session):
        grants.require(session, "OWNERSHIP", kind, name)
    held = {grant.privilege for grant in grants.grants if grant == _key(grant, role, kind, name)}
    after = held | set(privileges) if give else held - set(privileges)
    # See https://docs.snowflake.com/en/sql-reference/sql/grant-privilege: on an internal stage
    # WRITE needs READ, and READ cannot be revoked while WRITE is held.
    if kind == "STAGE" and "WRITE" in after and "READ" not in after:
        raise ProgrammingError(
            msg="SQL compilation error:\nPrivilege 'WRITE' on a stage needs privilege 'READ':"
            + (" grant it first." if give else " revoke 'WRITE' first."),
            errno=3001,
            sqlstate="42501",
        )
    (grants.grant if give else grants.revoke)(role, privileges, kind, name)
    return status()


def _key(grant: Grant, role: str, kind: str, name: Name) -> Grant:
    return Grant(role, grant.privilege, kind, name)


def _privilege(read: Reader) -> str:
    words = [read.next().text.upper()]
    while (token := read.peek()) and token.kind == "word" and token.text.lower() != "on":
        words.append(read.next().text.upper())
    return "ALL" if words in (["ALL"], ["ALL", "PRIVILEGES"]) else " ".join(words)


def _object(session: Session, read: Reader) -> tuple[str, Name]:
    """Read a kind and a name; raise Snowflake's error if there is no such object."""
    kind = (read.take_any(*KINDS, *UNCHECKED) or read.fail()).upper()
    if kind == "ACCOUNT":
        return kind, ()
    if kind in ("ALL", "FUTURE"):
        return kind, _rest_of_objects(read)
    name = read.name()
    if kind == "WAREHOUSE":
        return kind, name
    if kind in ("TABLE", "VIEW"):
        return kind, current(session, name, "GRANT")
    if kind == "DATABASE":
        if not database_exists(session, name[0]):
            raise not_authorized("Database", name)
        return kind, name
    if kind == "SCHEMA":
        name = current_schema(session, name, "GRANT")
    else:
        name = current(session, name, "GRANT")
    if not database_exists(session, name[0]) or not schema_exists(session, name[:2]):
        raise not_authorized("Schema", name[:2])
    if kind == "STAGE":
        session.account.stages.get(session, name)
    if kind == "FUNCTION":
        name = function_name(name, _types(read))
        if ("FUNCTION", name) not in session.account.grants.owners:
            raise not_authorized("Function", name)
    return kind, name


def _rest_of_objects(read: Reader) -> Name:
    """Read `tables in schema s`, as a name."""
    words = [read.next().text.upper()]
    read.expect("in")
    words.append(read.next().text.upper())
    return (*words, *read.name())


def _types(read: Reader) -> list[str]:
    """Read the types of a function's arguments."""
    read.expect("(")
    kinds: list[str] = []
    depth = 0
    while depth or not read.take(")"):
        token = read.next()
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.kind == "word":
            kinds.append(token.text)
    return kinds


def _role(read: Reader) -> str:
    name = read.name()
    if len(name) != 1:
        read.fail()
    return name[0]


def _existing_role(session: Session, read: Reader) -> str:
    role = _role(read)
    if role not in session.account.grants.roles:
        raise not_authorized("Role", (role,))
    return role


def _may_manage(session: Session, *, primary: bool = False) -> bool:
    grants = session.account.grants
    roles = grants.roles_of(session, primary=primary)
    return bool(roles & {*ADMINS, "SECURITYADMIN", "USERADMIN"}) or any(
        Grant(role, "MANAGE GRANTS", "ACCOUNT", ()) in grants.grants for role in roles
    )


def _owns_role(session: Session, role: str) -> bool:
    grants = session.account.grants
    return _may_manage(session) or grants.owner("ROLE", (role,)) in grants.roles_of(session)


def show_grants(session: Session, read: Reader) -> Rows:
    """SHOW GRANTS ON an object, TO a role or user, OF a role."""
    read.expect("show", "grants")
    grants = session.account.grants
    if read.take("on"):
        kind, name = _object(session, read)
        read.end()
        return _grant_rows(session, [grant for grant in _all(session) if _is_on(grant, kind, name)])
    if read.take("of", "role"):
        role = _existing_role(session, read)
        read.end()
        holders = [
            (role, what, holder, "ACCOUNTADMIN")
            for what, all_holders in (("ROLE", grants.roles), ("USER", grants.users))
            for holder, held in sorted(all_holders.items())
            if role in held
        ]
        columns = texts("role granted_to grantee_name granted_by")
        return Rows(columns, holders)
    role = session.role
    if read.take("to", "user"):
        user = _role(read)
        read.end()
        held = sorted(grants.users.get(user, ()))
        columns = texts("role granted_to grantee_name granted_by")
        return Rows(columns, [(name, "USER", user, "ACCOUNTADMIN") for name in held])
    if read.take("to", "role"):
        role = _existing_role(session, read)
    read.end()
    shown = [grant for grant in _all(session) if grant.role == role]
    shown += [
        Grant(role, "USAGE", "DATABASE ROLE", tuple(name.split(".")))
        for name, holders in sorted(grants.database_roles.items())
        if role in holders
    ]
    shown += [Grant(role, "USAGE", "ROLE", (name,)) for name in sorted(grants.roles[role])]
    return _grant_rows(session, shown)


def _all(session: Session) -> list[Grant]:
    """Return all grants on objects, the owners' included."""
    owned = [
        Grant(role, "OWNERSHIP", kind, name)
        for (kind, name), role in session.account.grants.owners.items()
    ]
    return sorted(
        [*owned, *session.account.grants.grants], key=lambda grant: (grant.name, grant.privilege)
    )


def _is_on(grant: Grant, kind: str, name: Name) -> bool:
    return (grant.kind, grant.name) == (kind, name)


def _grant_rows(session: Session, shown: list[Grant]) -> Rows:
    names = "privilege granted_on name granted_to grantee_name grant_option granted_by"
    columns = [("created_on", "timestamptz"), *texts(names)]
    since = session.account.grants.grants
    rows = [
        (
            since[grant].isoformat() if grant in since else "1970-01-01 00:00:00+00",
            grant.privilege,
            grant.kind.replace(" ", "_"),
            qualified(grant.name) if grant.name else "LOCAL",
            "ROLE",
            grant.role,
            "true" if grant.privilege == "OWNERSHIP" else "false",
            session.account.grants.owner(grant.kind, grant.name),
        )
        for grant in shown
    ]
    return Rows(columns, rows)


def show_roles(session: Session, read: Reader) -> Rows:
    """SHOW ROLES."""
    from local_snowflake.session import Rows
    from local_snowflake.stages import like_matches

    read.expect("show", "roles")
    like = read.string() if read.take("like") else None
    read.end()
    grants = session.account.grants
    columns = texts("name is_current owner comment")
    rows = [
        (
            role,
            "Y" if role == session.role else "N",
            grants.owners.get(("ROLE", (role,)), ""),
            grants.comments.get(role, ""),
        )
        for role in sorted(grants.roles)
        if like is None or like_matches(like, role)
    ]
    return Rows(columns, rows)


def comment_on_schema(session: Session, read: Reader) -> Rows:
    """COMMENT ON SCHEMA, DATABASE and ROLE."""
    read.expect("comment")
    exists = read.take("if", "exists")
    read.expect("on")
    kind = read.next().text.upper()
    name = read.name()
    read.expect("is")
    text = read.string()
    read.end()
    if kind == "SCHEMA":
        name = current_schema(session, name, "COMMENT")
        there = database_exists(session, name[0]) and schema_exists(session, name)
    elif kind == "DATABASE":
        there = database_exists(session, name[0])
    else:
        there = name[0] in session.account.grants.roles
    if not there:
        if exists:
            return status()
        raise not_authorized(kind.capitalize(), name)
    session.account.grants.require(session, "OWNERSHIP", kind, name)
    session.account.grants.comments[f"{kind} {qualified(name)}"] = text
    return status()


def session_functions(session: Session, tree: Expr) -> Expr:
    """Replace the context functions."""
    return tree.transform(lambda node: _session_function(session, node))


def _session_function(session: Session, node: Expr) -> Expr:
    value = _value(session, node)
    if value is node:
        return node
    if isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
        return exp.alias_(value, node.sql(dialect="snowflake").upper(), quoted=True)
    return value


def _value(session: Session, node: Expr) -> Expr:
    for kind, name in SESSION_NAMES.items():
        if isinstance(node, kind):
            return exp.convert(getattr(session, name))
    if _is_call(node, "IS_DATABASE_ROLE_IN_SESSION"):
        # Its page says that a qualified name is never in the session; SYS_CONTEXT takes those.
        # https://docs.snowflake.com/en/sql-reference/functions/is_database_role_in_session
        name = _argument(node)
        return exp.convert("." not in name and _is_in_session(session, name))
    if _is_call(node, "SYS_CONTEXT"):
        return exp.convert(_session_context(session, node))
    if isinstance(node, exp.CurrentSession):
        return exp.convert(str(session.number))
    if isinstance(node, exp.CurrentTransaction):
        # https://docs.snowflake.com/en/sql-reference/functions/current_transaction
        transaction = session.account.transactions.of(session)
        return exp.convert(str(transaction.number) if transaction else None)
    if _is_call(node, "IS_ROLE_IN_SESSION"):
        return exp.convert(_argument(node) in session.account.grants.roles_of(session))
    if isinstance(node, exp.CurrentSecondaryRoles):
        return exp.convert(_secondary_roles(session))
    if _is_call(node, "SYSTEM$ARE_ANACONDA_TERMS_ACKNOWLEDGED"):
        return exp.convert(not session.account.faults.is_set("anaconda_terms_missing"))
    return node


def _is_call(node: Expr, name: str) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.upper() == name


def _argument(node: Expr) -> str:
    arguments = node.expressions
    if len(arguments) != 1 or not isinstance(arguments[0], exp.Literal):
        raise compilation_error(f"{node.name.upper()} takes one string constant.", 938, "22023")
    return arguments[0].name


def _session_context(session: Session, node: Expr) -> str:
    """SYS_CONTEXT, of which IS_DATABASE_ROLE_ACTIVATED is known: 'TRUE' or 'FALSE'."""
    values = [argument.name for argument in node.expressions]
    if values[:2] != ["SNOWFLAKE$SESSION", "IS_DATABASE_ROLE_ACTIVATED"] or len(values) != 3:
        raise compilation_error(f"Unknown context {values} for SYS_CONTEXT.", 1003, "42000")
    return str(_is_in_session(session, values[2])).upper()


def _is_in_session(session: Session, name: str) -> bool:
    read = Reader(name)
    parts = read.name()
    read.end()
    if len(parts) == 1:
        parts = (session.database or "", *parts)
    holders = session.account.grants.database_roles.get(".".join(parts), set())
    return bool(session.account.grants.roles_of(session) & holders)


def _secondary_roles(session: Session) -> str:
    """https://docs.snowflake.com/en/sql-reference/functions/current_secondary_roles."""
    names = ",".join(sorted(session.account.grants.secondary(session)))
    value = "ALL" if session.secondary_roles == "ALL" else names
    return json.dumps({"roles": names, "value": value}, separators=(",", ":"))


def requested_role(session: Session, role: str | None) -> str:
    """Return the role of a login: the named one, or the user's default."""
    if not role:
        return "ACCOUNTADMIN"
    name = unquoted(role)
    grants = session.account.grants
    if name not in grants.roles or name not in grants.roles_of_user(session.user):
        what = (
            "does not exist or not authorized"
            if name not in grants.roles
            else ("is not granted to this user")
        )
        raise ProgrammingError(
            msg=f"Role '{name}' specified in the connect string {what}. Contact your local system"
            " administrator, or attempt to login with another role, e.g. PUBLIC.",
            errno=390189 if name not in grants.roles else 390186,
            sqlstate="08004",
        )
    return name


STATEMENTS: list[tuple[tuple[str, ...], Callable[[Session, Reader], Rows]]] = [
    (("create", "role"), create_role),
    (("create", "user"), create_user_or_warehouse),
    (("create", "warehouse"), create_user_or_warehouse),
    (("alter", "user"), alter_user),
    (("create", "or", "replace", "role"), create_role),
    (("drop", "role"), drop_role),
    (("grant",), grant),
    (("revoke",), revoke),
    (("show", "grants"), show_grants),
    (("show", "roles"), show_roles),
    *(
        (("comment", *exists, "on", kind), comment_on_schema)
        for exists in ((), ("if", "exists"))
        for kind in ("schema", "database", "role")
    ),
]
