"""The parameters of a session: ALTER SESSION and SHOW PARAMETERS.

https://docs.snowflake.com/en/sql-reference/parameters
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_snowflake.errors import compilation_error
from local_snowflake.rows import Rows, status, texts
from local_snowflake.statements import TOKEN, Reader, first_words, like_matches

if TYPE_CHECKING:
    from local_snowflake.session import Session

# Defaults and descriptions. The first four have an effect here; the others are accepted.
KNOWN = {
    "AUTOCOMMIT": ("true", "whether a statement outside a transaction commits"),
    "LOCK_TIMEOUT": ("43200", "seconds to wait for a locked table; 0 for not at all"),
    "QUERY_TAG": ("", "a text of up to 2000 characters that marks statements"),
    "QUOTED_IDENTIFIERS_IGNORE_CASE": ("false", "whether quoted identifiers fold to upper case"),
    "ABORT_DETACHED_QUERY": ("false", "whether statements end when their client disconnects"),
    "STATEMENT_TIMEOUT_IN_SECONDS": ("172800", "seconds after which a statement is canceled"),
    "TIMEZONE": ("America/Los_Angeles", "time zone"),
    "TRANSACTION_ABORT_ON_ERROR": ("false", "whether an error rolls back the transaction"),
    "USE_CACHED_RESULT": ("true", "whether results are cached and reused"),
    "WEEK_START": ("0", "the first day of the week; 0 is Monday, as in ISO 8601"),
}
BOOLEANS = {name for name, (default, _) in KNOWN.items() if default in ("true", "false")}
NUMBERS = {name for name, (default, _) in KNOWN.items() if default.isdigit()}
LONGEST_TAG = 2000


@dataclass
class Parameters:
    """A session's parameters."""

    values: dict[str, str] = field(default_factory=dict)

    def set(self, name: str, value: str) -> None:
        """Set a parameter."""
        name = name.upper()
        plain = value.lower() if name in BOOLEANS else value
        if name in BOOLEANS and plain not in ("true", "false"):
            raise _invalid(name, value)
        if name in NUMBERS and not plain.isdigit():
            raise _invalid(name, value)
        if name == "QUERY_TAG" and len(plain) > LONGEST_TAG:
            raise _invalid(name, value)
        self.values[name] = plain

    def take(self, given: Mapping[str, object]) -> None:
        """Set the parameters of a login."""
        for name, value in given.items():
            self.set(name, str(value))

    def get(self, name: str) -> str:
        """Return the value of a known parameter."""
        # The whole account uses UTC.
        default = "Etc/UTC" if name == "TIMEZONE" else KNOWN[name][0]
        return self.values.get(name, default)

    @property
    def autocommit(self) -> bool:
        """Whether a statement outside a transaction commits."""
        return self.get("AUTOCOMMIT") == "true"

    @property
    def lock_timeout(self) -> int:
        """The seconds for which a statement waits for a locked table."""
        return int(self.get("LOCK_TIMEOUT"))

    def folded(self, sql: str) -> str:
        """Return a statement with its quoted identifiers in upper case, if they ignore case.

        https://docs.snowflake.com/en/sql-reference/identifiers-syntax
        """
        if self.get("QUOTED_IDENTIFIERS_IGNORE_CASE") == "false":
            return sql
        return TOKEN.sub(
            lambda found: found[0].upper() if found.lastgroup == "quoted" else found[0], sql
        )


def _invalid(name: str, value: str) -> Exception:
    return compilation_error(f"invalid value [{value}] for parameter '{name}'", 1008, "22023")


def handle(session: Session, sql: str) -> Rows | None:
    """Handle ALTER SESSION and SHOW PARAMETERS."""
    words = first_words(sql, 2)
    if words == ["alter", "session"]:
        return _alter(session, Reader(sql))
    if words == ["show", "parameters"]:
        return _show(session, Reader(sql))
    return None


def _alter(session: Session, read: Reader) -> Rows:
    """ALTER SESSION.

    https://docs.snowflake.com/en/sql-reference/sql/alter-session
    """
    read.expect("alter", "session")
    parameters = session.parameters
    changed: dict[str, str | None] = {}
    if read.take("unset"):
        changed[read.name()[-1]] = None
        while read.take(","):
            changed[read.name()[-1]] = None
    else:
        read.expect("set")
        while not read.at_end():
            name = read.name()[-1]
            read.expect("=")
            token = read.peek()
            is_text = token is not None and token.kind in ("string", "dollar")
            changed[name] = read.string() if is_text else read.next().text
            read.take(",")
        if not changed:
            read.fail()
    read.end()
    for name, value in changed.items():
        if value is None:
            parameters.values.pop(name, None)
        else:
            parameters.set(name, value)
    transactions = session.account.transactions
    transaction = transactions.of(session)
    if "AUTOCOMMIT" in changed and transaction and parameters.autocommit:
        transactions.commit(transaction)
    return status()


def _show(session: Session, read: Reader) -> Rows | None:
    """SHOW PARAMETERS of a session, a user or the account: always the session's.

    https://docs.snowflake.com/en/sql-reference/sql/show-parameters
    """
    read.expect("show", "parameters")
    like = read.string() if read.take("like") else None
    if read.take_any("in", "for") and not read.take_any("session", "account", "user"):
        return None
    if not read.at_end():
        read.name()
    read.end()
    parameters = session.parameters
    rows = [
        (
            name,
            parameters.get(name),
            default,
            "SESSION" if name in parameters.values else "",
            description,
            "BOOLEAN" if name in BOOLEANS else "NUMBER" if name in NUMBERS else "STRING",
        )
        for name, (default, description) in sorted(KNOWN.items())
        if like is None or like_matches(like, name)
    ]
    return Rows(texts("key value default level description type"), rows)
