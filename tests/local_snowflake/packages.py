"""The artifact repositories: their packages, and the Python that runs their functions.

snowflake.snowpark.pypi_shared_repository is the Python that runs the server;
snowflake.snowpark.anaconda_shared_repository the one that LOCAL_SNOWFLAKE_ANACONDA_PYTHON names.
A function can only use packages that are installed there, where Snowflake has all of PyPI.

See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-packages
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import sqlglot
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from snowflake.connector.errors import ProgrammingError
from sqlglot import Expr, exp

from local_snowflake.errors import compilation_error
from local_snowflake.rows import Rows, texts

if TYPE_CHECKING:
    from local_snowflake.session import Session

PYPI = ("SNOWFLAKE", "SNOWPARK", "PYPI_SHARED_REPOSITORY")
ANACONDA = ("SNOWFLAKE", "SNOWPARK", "ANACONDA_SHARED_REPOSITORY")
# The error of an account whose organization has not accepted them.
ANACONDA_TERMS = (
    "Anaconda terms must be accepted by ORGADMIN to use Anaconda 3rd party packages. Please follow"
    " the instructions at https://docs.snowflake.com/en/developer-guide/udf/python/"
    "udf-python-packages.html#using-third-party-packages-from-anaconda."
)
ROLES = {
    PYPI: ("SNOWFLAKE", "PYPI_REPOSITORY_USER"),
    ANACONDA: ("SNOWFLAKE", "ANACONDA_REPOSITORY_USER"),
}
ANACONDA_RUNTIMES = ("3.10", "3.11", "3.12", "3.13")

# Runs in the repository's interpreter, so it imports only the standard library.
_INVENTORY = """
import importlib.metadata, json, sys
found = []
for one in importlib.metadata.distributions():
    modules = set()
    for file in one.files or ():
        first = file.parts[0]
        if len(file.parts) == 1:
            if first.endswith((".py", ".so", ".pyd")):
                modules.add(first.split(".")[0])
        elif first.isidentifier() and first != "__pycache__":
            modules.add(first)
    found.append([one.metadata["Name"], one.version, one.requires or [], sorted(modules)])
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Package:
    """An installed package: its modules, and the packages that it needs."""

    name: str
    version: str
    needs: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """A repository's interpreter and its packages by canonical name."""

    python: Path
    packages: dict[str, Package]

    def resolved(self, specifications: Iterable[str]) -> dict[str, Package]:
        """Return the requested packages and their dependencies."""
        waiting = [canonical(_split(one)[0]) for one in specifications]
        found: dict[str, Package] = {}
        while waiting:
            name = waiting.pop()
            package = self.packages.get(name)
            if package is not None and name not in found:
                found[name] = package
                waiting.extend(package.needs)
        return found

    def hidden_modules(self, specifications: Iterable[str]) -> list[str]:
        """Return the modules that a function with these PACKAGES must not find."""
        visible = _modules(self.resolved(specifications).values())
        return sorted(_modules(self.packages.values()) - visible)


def _modules(packages: Iterable[Package]) -> set[str]:
    return {module for package in packages for module in package.modules}


@dataclass
class Packages:
    """The environments of the repositories; each is inspected once."""

    _environments: dict[tuple[str, ...], Environment] = field(default_factory=dict)

    def environment(self, repository: tuple[str, ...]) -> Environment:
        """Return a repository's environment."""
        if repository not in self._environments:
            python = Path(sys.executable) if repository == PYPI else anaconda_python()
            self._environments[repository] = _look_into(python)
        return self._environments[repository]


def anaconda_python() -> Path:
    """Return the interpreter that plays the Anaconda channel."""
    default = Path(sys.prefix, "anaconda", "bin", "python")
    return Path(os.environ.get("LOCAL_SNOWFLAKE_ANACONDA_PYTHON", default))


def _look_into(python: Path) -> Environment:
    if not python.exists():
        raise compilation_error(
            f"the local Snowflake has no Python for this artifact repository: '{python}' does not "
            f"exist. Make it from requirements-anaconda.lock, or name another in "
            f"LOCAL_SNOWFLAKE_ANACONDA_PYTHON.",
            391529,
        )
    output = subprocess.run(
        [python, "-I", "-c", _INVENTORY], check=True, capture_output=True, text=True
    ).stdout
    packages = {
        canonical(name): Package(name, version, tuple(_needed(requires)), tuple(modules))
        for name, version, requires, modules in json.loads(output)
    }
    return Environment(python, packages)


def _needed(requires: Iterable[str]) -> Iterable[str]:
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonical(requirement.name)


def canonical(name: str) -> str:
    """Return a package's canonical name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _split(specification: str) -> tuple[str, SpecifierSet]:
    """Return the name and the versions of an entry of PACKAGES: `numpy`, `pandas>=2,<3.0.0`.

    The pages have `==` and, for PyPI's repository, the bound `pandas<3.0.0`.
    See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-packages
    """
    try:
        requirement = Requirement(specification)
    except InvalidRequirement:
        raise _cannot_create(specification) from None
    if requirement.extras or requirement.marker or requirement.url:
        raise _cannot_create(specification)
    return requirement.name, requirement.specifier


def require_repository(session: Session, repository: tuple[str, ...]) -> None:
    """Raise Snowflake's error unless the session's role may use a repository.

    See https://docs.snowflake.com/en/release-notes/bcr-bundles/un-bundled/bcr-2379
    """
    role = ROLES.get(repository)
    if role is None or not session.account.grants.has(session, "USAGE", "DATABASE ROLE", role):
        name = ".".join(repository).lower()
        raise compilation_error(f"Object '{name}' does not exist or not authorized.", 2003, "02000")


def require_packages(
    session: Session, repository: tuple[str, ...], specifications: Iterable[str]
) -> None:
    """Raise Snowflake's error unless a repository has these packages at these versions."""
    if repository == ANACONDA and session.account.faults.is_set("anaconda_terms_missing"):
        raise compilation_error(ANACONDA_TERMS, 391529, "P0000")
    available = session.account.packages.environment(repository).packages
    seen: set[str] = set()
    for one in specifications:
        name, versions = _split(one)
        key = canonical(name)
        if key in seen:
            raise _cannot_create(one)
        seen.add(key)
        is_missing = session.account.faults.strikes(f"package_missing:{key}")
        if is_missing or key not in available:
            raise compilation_error(f"Package '{name}' is not supported.", 391531, "42601")
        if not versions.contains(available[key].version, prereleases=True):
            raise _cannot_create(one)


def _cannot_create(specification: str) -> ProgrammingError:
    return compilation_error(
        f"Cannot create a Python function with the specified packages. Please check your packages "
        f"specification and try again. 'Packages not found: {specification}'.",
        100357,
        "P0000",
    )


def list_packages(session: Session, tree: Expr) -> Expr:
    """Handle queries of `information_schema.packages`: the Anaconda channel, per runtime.

    See https://docs.snowflake.com/en/sql-reference/info-schema/packages
    """
    for table in list(tree.find_all(exp.Table)):
        if (table.name.upper(), table.db.upper()) == ("PACKAGES", "INFORMATION_SCHEMA"):
            alias = table.alias_or_name
            rows = sqlglot.parse_one(_listing(session).sql(), read="duckdb")
            assert isinstance(rows, exp.Select)
            table.replace(rows.subquery(alias))
    return tree


def _listing(session: Session) -> Rows:
    environment = session.account.packages.environment(ANACONDA)
    listed = {(name, package.version) for name, package in environment.packages.items()}
    rows = [
        (name, version, "python", runtime)
        for name, version in sorted(listed)
        if not session.account.faults.is_set(f"package_missing:{name}")
        for runtime in ANACONDA_RUNTIMES
    ]
    return Rows(texts("PACKAGE_NAME VERSION LANGUAGE RUNTIME_VERSION"), rows)
