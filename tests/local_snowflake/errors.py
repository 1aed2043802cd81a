"""Snowflake's errors, as the connector raises them."""

from __future__ import annotations

from snowflake.connector.errors import ProgrammingError


def compilation_error(message: str, errno: int = 1003, sqlstate: str = "42000") -> ProgrammingError:
    """Return the error of a statement that does not compile."""
    return ProgrammingError(
        msg=f"SQL compilation error:\n{message}", errno=errno, sqlstate=sqlstate
    )


def internal_error(error: Exception) -> ProgrammingError:
    """Return the error for a bug or a gap of this local Snowflake.

    As HTTP status 500, the connector would try the statement again, for minutes.
    """
    return ProgrammingError(
        msg="SQL execution internal error:\nProcessing aborted by error 300010:"
        f" the local Snowflake failed with {type(error).__name__}: {error}",
        errno=603,
        sqlstate="XX000",
    )
