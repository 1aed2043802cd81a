"""SYSTEM$RESOLVE_PYTHON_PACKAGES: what a list of packages resolves to, in any repository.

See https://docs.snowflake.com/en/sql-reference/functions/system_resolve_python_packages
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlglot import Expr, exp

from local_snowflake import packages
from local_snowflake.create_function import PYPI_ONLY_RUNTIMES, RUNTIMES
from local_snowflake.errors import compilation_error
from local_snowflake.statements import Reader

if TYPE_CHECKING:
    from local_snowflake.session import Session

NAME = "SYSTEM$RESOLVE_PYTHON_PACKAGES"


def resolve_packages(session: Session, tree: Expr) -> Expr:
    """Replace the calls of the function by their answers."""
    for node in list(tree.find_all(exp.Anonymous)):
        if node.name.upper() != NAME:
            continue
        answer: Expr = exp.convert(json.dumps(resolved(session, _arguments(session, node))))
        if isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
            answer = exp.alias_(answer, node.sql(dialect="snowflake").upper(), quoted=True)
        if node is tree:
            return answer
        node.replace(answer)
    return tree


def resolved(session: Session, arguments: list[str]) -> list[str]:
    """Return the packages that a list needs, as `name==version`, with those of Python itself.

    Snowflake creates and drops a function to find out, so the errors are those of CREATE FUNCTION.
    """
    runtime, listed, *named = arguments
    repository = Reader(named[0]).name() if named and named[0] else packages.ANACONDA
    is_old = repository == packages.ANACONDA and runtime in PYPI_ONLY_RUNTIMES
    if runtime not in RUNTIMES or is_old:
        raise compilation_error(
            f"Unsupported Python runtime version '{runtime}'. The supported versions are "
            f"{', '.join(RUNTIMES)}.",
            391511,
            "42601",
        )
    asked = _listed(listed)
    packages.require_repository(session, repository)
    packages.require_packages(session, repository, asked)
    found = session.account.packages.environment(repository).resolved(asked)
    versions = {name: package.version for name, package in found.items()} | {"python": runtime}
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def _arguments(session: Session, node: exp.Anonymous) -> list[str]:
    """Return two or three string constants."""
    if session.account.faults.is_set("resolve_python_packages_unknown"):
        raise compilation_error(f"Unknown function {NAME}", 2140, "42601")
    given = node.expressions
    if len(given) not in (2, 3) or not all(
        isinstance(one, exp.RawString) or (isinstance(one, exp.Literal) and one.is_string)
        for one in given
    ):
        raise compilation_error(
            f"{NAME} takes the runtime's version, the list of packages and perhaps a repository, "
            f"as string constants.",
            938,
            "22023",
        )
    return [one.name for one in given]


def _listed(text: str) -> list[str]:
    """Read a list of packages as PACKAGES has it, such as `('numpy', 'pandas==2.3.3')`."""
    read = Reader(text)
    read.expect("(")
    found: list[str] = []
    while not read.take(")"):
        if found:
            read.expect(",")
        found.append(read.string())
    read.end()
    return found
