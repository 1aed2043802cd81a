"""Snowflake's errors, as the connector raises them."""

from __future__ import annotations

from snowflake.connector.errors import ProgrammingError


def compilation_error(message: str, errno: int = 1003, sqlstate: str = "42000") -> ProgrammingError:
    """Return the error of a statement that does not compile."""
    return ProgrammingError(
        msg=f"SQL compilation error:\n{message}", errno=errno, sqlstate=sqlstate
    )
