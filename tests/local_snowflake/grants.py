"""Roles, privileges and owners.

Names of objects are tuples, folded as Snowflake folds them: ("DB",), ("DB", "SCHEMA"),
("DB", "SCHEMA", "STAGE"), and for functions ("DB", "SCHEMA", "NAME(VARCHAR)"): `function_name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from snowflake.connector.errors import ProgrammingError

from local_snowflake.statements import identifier, qualified

if TYPE_CHECKING:
    from local_snowflake.session import Session

Name = tuple[str, ...]

ADMINS = ("ACCOUNTADMIN", "SYSADMIN")
SYSTEM_ROLES = {
    "ACCOUNTADMIN": {"SYSADMIN", "SECURITYADMIN"},
    "SYSADMIN": set(),
    "SECURITYADMIN": {"USERADMIN"},
    "USERADMIN": set(),
    "PUBLIC": set(),
}
REPOSITORY_ROLES = ("SNOWFLAKE.ANACONDA_REPOSITORY_USER", "SNOWFLAKE.PYPI_REPOSITORY_USER")
PRIVILEGES = {
    "ACCOUNT": ("CREATE DATABASE", "CREATE ROLE", "MANAGE GRANTS"),
    "DATABASE": ("USAGE", "CREATE SCHEMA", "MONITOR", "MODIFY", "OWNERSHIP"),
    "SCHEMA": (
        "USAGE",
        "CREATE STAGE",
        "CREATE FUNCTION",
        "CREATE TABLE",
        "CREATE VIEW",
        "MONITOR",
        "MODIFY",
        "OWNERSHIP",
    ),
    "STAGE": ("READ", "WRITE", "OWNERSHIP"),
    "FUNCTION": ("USAGE", "OWNERSHIP"),
}
OF_EXTERNAL_STAGE = ("USAGE", "OWNERSHIP")
TYPES = {"STRING": "VARCHAR", "TEXT": "VARCHAR", "CHAR": "VARCHAR", "CHARACTER": "VARCHAR"}


@dataclass(frozen=True)
class Grant:
    """One privilege of one role on one object."""

    role: str
    privilege: str
    kind: str
    name: Name


@dataclass
class Grants:
    """The account's roles and grants."""

    owners: dict[tuple[str, Name], str] = field(default_factory=dict)
    grants: dict[Grant, datetime] = field(default_factory=dict)
    roles: dict[str, set[str]] = field(
        default_factory=lambda: {role: set(below) for role, below in SYSTEM_ROLES.items()}
    )
    database_roles: dict[str, set[str]] = field(
        default_factory=lambda: {role: {"PUBLIC"} for role in REPOSITORY_ROLES}
    )
    users: dict[str, set[str]] = field(default_factory=dict)
    # The users whose DEFAULT_SECONDARY_ROLES is ('ALL').
    with_secondary_roles: set[str] = field(default_factory=set)
    comments: dict[str, str] = field(default_factory=dict)

    def hierarchy(self, role: str) -> set[str]:
        """Return a role and every role whose privileges it has, PUBLIC included."""
        reached = set()
        waiting = [role, "PUBLIC"]
        while waiting:
            current = waiting.pop()
            if current not in reached:
                reached.add(current)
                waiting.extend(self.roles.get(current, ()))
        return reached

    def roles_of_user(self, user: str) -> set[str]:
        """Return the roles that a user may activate."""
        granted = self.users.setdefault(user, {"ACCOUNTADMIN"})
        return set().union(*(self.hierarchy(role) for role in granted), {"PUBLIC"})

    def roles_of(self, session: Session, *, primary: bool = False) -> set[str]:
        """Return the roles whose privileges a session has, or only its current role's.

        See https://docs.snowflake.com/en/sql-reference/sql/use-secondary-roles
        """
        roles = self.hierarchy(session.role)
        return roles if primary else roles.union(*map(self.hierarchy, self.secondary(session)))

    def secondary(self, session: Session) -> set[str]:
        """Return the active secondary roles, looked up for each statement."""
        granted = self.users.get(session.user, {"ACCOUNTADMIN"}) - {session.role}
        if session.secondary_roles == "ALL":
            return granted
        return set(session.secondary_roles) & self.roles_of_user(session.user)

    def is_admin(self, role: str) -> bool:
        """Whether a role has all privileges."""
        return bool(self.hierarchy(role) & set(ADMINS))

    def has(self, session: Session, privilege: str, kind: str, name: Name) -> bool:
        """Whether the session's roles hold a privilege on an object.

        Secondary roles do not count for CREATE.
        """
        roles = self.roles_of(session, primary=privilege.startswith("CREATE "))
        if kind == "DATABASE ROLE":
            return bool(roles & self.database_roles.get(".".join(name), set()))
        if roles & set(ADMINS):
            return True
        if self.owners.get((kind, name)) in roles:
            return True
        return any(Grant(role, privilege, kind, name) in self.grants for role in roles)

    def sees(self, session: Session, kind: str, name: Name, *, shown: bool = False) -> bool:
        """Whether the session's roles hold any privilege on an object.

        SHOW lists only what the current role sees.
        See https://docs.snowflake.com/en/sql-reference/sql/show-schemas
        """
        roles = self.roles_of(session, primary=shown)
        if roles & set(ADMINS):
            return True
        return self.owners.get((kind, name)) in roles or any(
            grant.kind == kind and grant.name == name and grant.role in roles
            for grant in self.grants
        )

    def require(self, session: Session, privilege: str, kind: str, name: Name) -> None:
        """Raise Snowflake's error unless the session's role may do something.

        Args:
            session: whose role is asked.
            privilege: USAGE, READ, WRITE, OWNERSHIP, CREATE SCHEMA, CREATE STAGE, ...
            kind: ACCOUNT, DATABASE, SCHEMA, STAGE, FUNCTION or DATABASE ROLE.
            name: of the object; `()` for the account, ("SNOWFLAKE", "PYPI_REPOSITORY_USER") for
                a database role.

        Raises:
            ProgrammingError: an object that the role may not see does not exist for it (2003);
                one that it sees, but may not use so, lacks privileges (3001).
        """
        if kind == "DATABASE ROLE":
            if not self.has(session, privilege, kind, name):
                raise not_authorized("Database role", name)
            return
        if kind in ("STAGE", "FUNCTION"):
            self.require(session, "USAGE", "DATABASE", name[:1])
            self.require(session, "USAGE", "SCHEMA", name[:2])
        if kind == "SCHEMA":
            self.require(session, "USAGE", "DATABASE", name[:1])
        if self.has(session, privilege, kind, name):
            return
        if kind != "ACCOUNT" and not self.sees(session, kind, name):
            raise not_authorized(kind.capitalize(), name)
        raise insufficient(kind, name)

    def created(self, session: Session, kind: str, name: Name) -> None:
        """Record that the session's role owns a new object."""
        self.forget(kind, name)
        self.owners[(kind, name)] = session.role

    def forget(self, kind: str, name: Name) -> None:
        """Forget a dropped object and its contents."""
        self.owners = {
            key: role
            for key, role in self.owners.items()
            if not (key == (kind, name) or _lies_in(key[1], kind, name))
        }
        self.grants = {
            grant: since
            for grant, since in self.grants.items()
            if not ((grant.kind, grant.name) == (kind, name) or _lies_in(grant.name, kind, name))
        }

    def require_role(self, session: Session, role: str) -> None:
        """Raise Snowflake's error unless the session's user may activate a role."""
        if role not in self.roles:
            raise not_authorized("Object", (role,), errno=2043)
        if role not in self.roles_of_user(session.user):
            raise ProgrammingError(
                msg="SQL access control error:\n"
                f"Requested role {identifier(role)!r} is not assigned to the executing user."
                "  Specify another role to activate.",
                errno=3013,
                sqlstate="42501",
            )

    def owner(self, kind: str, name: Name) -> str:
        """Return the role that owns an object."""
        return self.owners.get((kind, name), "ACCOUNTADMIN")

    def grant(self, role: str, privileges: Iterable[str], kind: str, name: Name) -> None:
        """Give a role privileges on an object."""
        for privilege in privileges:
            self.grants[Grant(role, privilege, kind, name)] = datetime.now(UTC)

    def revoke(self, role: str, privileges: Iterable[str], kind: str, name: Name) -> None:
        """Take privileges from a role."""
        for privilege in privileges:
            self.grants.pop(Grant(role, privilege, kind, name), None)


def _lies_in(inner: Name, kind: str, name: Name) -> bool:
    return kind in ("DATABASE", "SCHEMA") and len(inner) > len(name) and inner[: len(name)] == name


def function_name(name: Name, types: Iterable[str]) -> Name:
    """Return a function's name with argument types, the key for its grants."""
    plain = [re.sub(r"\s*\(.*", "", kind.strip()).upper() for kind in types]
    return (*name[:-1], f"{name[-1]}({', '.join(TYPES.get(kind, kind) for kind in plain)})")


def not_authorized(kind: str, name: Name, errno: int = 2003) -> ProgrammingError:
    """Return the error for an object that is missing or hidden; Snowflake does not say which."""
    return ProgrammingError(
        msg=f"SQL compilation error:\n{kind} '{qualified(name)}' does not exist or not authorized.",
        errno=errno,
        sqlstate="02000",
    )


def insufficient(kind: str, name: Name) -> ProgrammingError:
    """Return the error for an object that a role sees but may not use in this way."""
    what = f"{kind.lower()} '{identifier(name[-1])}'" if name else " 'ACCOUNT'"
    return ProgrammingError(
        msg=f"SQL access control error:\nInsufficient privileges to operate on {what}.",
        errno=3001,
        sqlstate="42501",
    )
