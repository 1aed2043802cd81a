"""SYSTEM$RESOLVE_PYTHON_PACKAGES on the local Snowflake, in the forms that its page has."""

from __future__ import annotations

import importlib.metadata
import json

import pytest
from snowflake.connector.errors import ProgrammingError
from snowflake_projects import LocalSnowflake

pytestmark = pytest.mark.exhaustive

PYPI = "snowflake.snowpark.pypi_shared_repository"


def resolve(server: LocalSnowflake, arguments: str) -> list[str]:
    [(answer,)] = server.execute(f"select system$resolve_python_packages({arguments})")
    return json.loads(answer)


def fails(server: LocalSnowflake, arguments: str) -> str:
    with pytest.raises(ProgrammingError) as caught:
        resolve(server, arguments)
    return str(caught.value)


def test_packages_come_with_what_they_need_and_with_python(local_snowflake: LocalSnowflake) -> None:
    found = resolve(local_snowflake, f"'3.11', $$('pandas', 'tokenizers')$$, '{PYPI}'")
    names = [one.split("==")[0] for one in found]

    assert {"numpy", "pandas", "python", "python-dateutil", "tokenizers"} < {*names}
    assert "tensorflow" not in names
    assert names == sorted(names)
    assert f"pandas=={importlib.metadata.version('pandas')}" in found


def test_quotes_are_doubled_within_quotes(local_snowflake: LocalSnowflake) -> None:
    doubled = resolve(local_snowflake, f"'3.11', '(''numpy'')', '{PYPI}'")

    assert doubled == resolve(local_snowflake, f"'3.11', $$('numpy')$$, '{PYPI}'")
    assert resolve(local_snowflake, f"'3.12', $$()$$, '{PYPI}'") == ["python==3.12"]


@pytest.mark.usefixtures("anaconda_python")
def test_anaconda_s_repository_is_the_default(local_snowflake: LocalSnowflake) -> None:
    found = resolve(local_snowflake, "'3.11', $$('tensorflow')$$")

    assert "tensorflow==2.17.0" in found
    assert found == resolve(local_snowflake, "'3.11', $$('tensorflow')$$, ''")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (f"'3.11', $$('no-such-package')$$, '{PYPI}'", "Package 'no-such-package' is not supp"),
        (f"'3.11', $$('numpy==0.0.1')$$, '{PYPI}'", "'Packages not found: numpy==0.0.1'"),
        (f"'3.8', $$('numpy')$$, '{PYPI}'", "Unsupported Python runtime version '3.8'"),
        ("'3.14', $$('numpy')$$", "Unsupported Python runtime version '3.14'"),
        (f"'3.11', $$numpy$$, '{PYPI}'", "unexpected 'numpy'"),
        ("'3.11', $$()$$, 'tools.python.ours'", "'tools.python.ours' does not exist or not auth"),
        ("'3.11'", "takes the runtime's version"),
        (f"'3.11', 'a' || 'b', '{PYPI}'", "as string constants"),
    ],
)
def test_what_create_function_refuses_does_not_resolve(
    local_snowflake: LocalSnowflake, arguments: str, said: str
) -> None:
    assert said in fails(local_snowflake, arguments)
