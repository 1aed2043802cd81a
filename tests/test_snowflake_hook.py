"""The exact text of what the hook sends to Snowflake, and two parsers that know its dialect.

Nothing is sent here: `dbt run-operation` logs what the macros give, and needs no warehouse for it.
After a change of the DDL, record tests/fixtures/snowflake_hook again, and read the diff:

    RECORD_SNOWFLAKE_HOOK=1 .venv/bin/pytest tests/test_snowflake_hook.py
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlfluff
import sqlglot
from duckdb_projects import NAME, PACKAGE, Project, make_project
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from snowflake.connector.util_text import split_statements
from sqlglot import exp

FIXTURES = Path(__file__).parent / "fixtures" / "snowflake_hook"

MINILM = {
    "version": "v0123456789ab",
    "build": "bcdef01234567",
    "dimensions": 384,
    "kind": "tokens",
    "packages": ["numpy", "tensorflow", "tokenizers"],
}
USE = {
    "version": "v89abcdef0123",
    "build": "b456789abcdef",
    "dimensions": 512,
    "kind": "sentencepiece",
    "packages": ["numpy", "sentencepiece", "tensorflow"],
}
MULTILINGUAL = {
    "version": "vabcdef012345",
    "build": "babcdef012345",
    "dimensions": 512,
    "kind": "text",
    "packages": ["numpy", "tensorflow", "tensorflow-text"],
}
LITERT = {**MINILM, "packages": ["ai-edge-litert", "numpy", "tokenizers"]}
LITERT_SENTENCEPIECE = {**USE, "packages": ["ai-edge-litert", "numpy", "sentencepiece"]}
LITERT_PINNED = {
    **MINILM,
    "packages": ["ai_edge_litert==2.2.0", "numpy", "tokenizers", "Protobuf==5.29.5"],
}
PINNED = {**MINILM, "packages": ["tensorflow==2.19.1", "numpy==2.1.3", "tokenizers"]}
ANACONDA = "snowflake.snowpark.anaconda_shared_repository"

# name of a fixture -> vars, without their prefix
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "anaconda_python_312": {"artifact_repository": ANACONDA, "runtime_version": 3.12},
    "anaconda_two_models": {
        "artifact_repository": ANACONDA.upper(),
        "models": {"use": USE, "minilm": MINILM},
    },
    "grants_and_quoted_names": {
        "database": "My Database",
        "schema": '"text; embeddings"',
        "stage": 'it\'s a "stage"',
        "grants": ["analyst", "data science", '"lower"', "analyst"],
    },
    "grants_for_two_models": {"models": {"minilm": MINILM, "use": USE}, "grants": ["Reporter_1"]},
    "two_models": {"models": {"use": USE, "minilm": MINILM}},
    "not_managed": {"manage": False, "grants": ["analyst"]},
    "client_side_encryption": {"stage_encryption": "SNOWFLAKE_FULL"},
    "pinned_packages": {"models": {"minilm": PINNED}},
    "other_repository": {"artifact_repository": "tools.python.our_packages"},
    "tensorflow_text": {"models": {"multilingual": MULTILINGUAL}},
    "tensorflow_text_other_repository": {
        "models": {"multilingual": MULTILINGUAL},
        "artifact_repository": "tools.python.our_packages",
    },
    "litert": {"models": {"minilm": LITERT, "use": LITERT_SENTENCEPIECE}},
    "litert_other_repository": {
        "models": {"minilm": LITERT},
        "artifact_repository": "tools.python.our_packages",
    },
    "litert_pinned_packages": {"models": {"minilm": LITERT_PINNED}},
    "small_batches": {"max_batch_size": 64},
    "another_schema": {"database": "ml", "schema": "models_of_text", "stage": "files"},
}

CLAUSES = [
    "returns",
    "language",
    "strict",
    "immutable",
    "runtime_version",
    "comment",
    "imports",
    "artifact_repository",
    "packages",
    "handler",
]

OPERATIONS = """
{% macro tell(value) %}{% do log('told: ' ~ tojson(value), info=true) %}{% endmacro %}

{% macro pins() %}
  {% set pins = [] %}
  {% for name in tf_embeddings._settings().models | sort %}
    {% do pins.append(tf_embeddings._pin(name)) %}
  {% endfor %}
  {{ return(pins) }}
{% endmacro %}

{% macro hook() %}{% do tell(tf_embeddings.snowflake___prepare_run(pins())) %}{% endmacro %}

{% macro verify_function() %}
  {% do tell(tf_embeddings._create_function(pins() | first, 'verify')) %}
{% endmacro %}

{% macro function_name() %}{% do tell(tf_embeddings._function_name(pins() | first)) %}{% endmacro %}

{% macro identifiers(names) %}
  {% set found = [] %}
  {% for name in names %}{% do found.append(tf_embeddings._identifier(name)) %}{% endfor %}
  {% do tell(found) %}
{% endmacro %}

{% macro are_identifiers(names) %}
  {% set found = [] %}
  {% for name in names %}{% do found.append(tf_embeddings._is_identifier(name)) %}{% endfor %}
  {% do tell(found) %}
{% endmacro %}

{% macro ages(times) %}
  {% set found = [] %}
  {% for time in times + [modules.datetime.datetime.now(modules.pytz.utc)] %}
    {% do found.append(tf_embeddings._age_in_days(time)) %}
  {% endfor %}
  {% do tell(found) %}
{% endmacro %}

{% macro versions(repository) %}
  {% do tell(tf_embeddings._package_versions(repository)) %}
{% endmacro %}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project for an account that does not exist."""
    project = make_project(tmp_path_factory.mktemp("dbt") / "project", plugin=False)
    target = {
        "type": "snowflake",
        "account": "nowhere",
        "user": "nobody",
        "password": "not-a-secret",
        "database": "analytics",
        "schema": "dbt_nobody",
    }
    project.write_yaml("profiles.yml", {NAME: {"target": "dev", "outputs": {"dev": target}}})
    project.write("macros/operations.sql", OPERATIONS)
    return project


def told(
    project: Project, operation: str, settings: dict[str, Any] | None = None, **arguments: object
) -> Any:  # noqa: ANN401 - JSON
    """Return what an operation tells under these settings; minilm is pinned if they pin nothing."""
    variables = {
        f"tf_embeddings_{name}": value
        for name, value in {"models": {"minilm": MINILM}, **(settings or {})}.items()
    }
    run = project.dbt(
        "run-operation", operation,
        "--args", json.dumps(arguments),
        "--vars", json.dumps(variables),
    )  # fmt: skip
    assert run.success, run.errors
    [line] = [text for text in run.printed if text.startswith("told: ")]
    return json.loads(line.removeprefix("told: "))


def recorded(name: str, text: str) -> str:
    """Return the text of a fixture, writing it first if that is asked for."""
    file = FIXTURES / f"{name}.sql"
    if os.environ.get("RECORD_SNOWFLAKE_HOOK"):
        # What is recorded is compared with itself.
        assert not os.environ.get("CI"), "RECORD_SNOWFLAKE_HOOK is set in CI"
        FIXTURES.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n" if text else "", encoding="utf-8")
    return file.read_text(encoding="utf-8").removesuffix("\n")


def statements(name: str) -> list[str]:
    """Return the statements of a fixture, split as dbt-snowflake splits them."""
    text = (FIXTURES / f"{name}.sql").read_text(encoding="utf-8")
    return [statement.removesuffix(";") for statement, _ in split_statements(io.StringIO(text))]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_hook_is_this_text(project: Project, name: str) -> None:
    text = told(project, "hook", SETTINGS[name])

    assert text == recorded(name, text)


def test_the_function_that_verifies_is_this_text(project: Project) -> None:
    text = told(project, "verify_function")

    assert text == recorded("verify_function", text)


def test_every_fixture_is_compared() -> None:
    assert {file.stem for file in FIXTURES.iterdir()} == {*SETTINGS, "verify_function"}


@pytest.mark.parametrize("name", [*SETTINGS, "verify_function"])
def test_two_parsers_accept_each_statement(name: str) -> None:
    for statement in statements(name):
        [tree] = sqlglot.parse(statement, read="snowflake")
        assert isinstance(tree, exp.Create | exp.Grant)
        sqlfluff.parse(statement, dialect="snowflake")  # raises where a part is unparsable


def kinds(name: str) -> list[str]:
    """Return what each statement of a fixture is about."""
    trees = [sqlglot.parse_one(statement, read="snowflake") for statement in statements(name)]
    return [f"{tree.key} {tree.args['kind']}".lower() for tree in trees]


def test_the_hook_creates_a_schema_a_stage_and_a_function() -> None:
    assert kinds("defaults") == ["create schema", "create stage", "create function"]


def test_the_hook_creates_a_function_for_each_model() -> None:
    assert kinds("two_models") == [*["create schema", "create stage"], *["create function"] * 2]


def test_the_hook_grants_each_role_what_a_call_needs() -> None:
    grants = ["grant schema", "grant stage", "grant function"]
    assert kinds("grants_and_quoted_names")[3:] == grants * 3
    assert kinds("grants_for_two_models")[4:] == [*grants, "grant function"]


def test_the_hook_sends_nothing_where_another_role_manages() -> None:
    assert kinds("not_managed") == []


def function_of(name: str) -> exp.Create:
    """Return the tree of the first function of a fixture."""
    trees = [sqlglot.parse_one(statement, read="snowflake") for statement in statements(name)]
    return next(tree for tree in trees if isinstance(tree, exp.Create) and tree.kind == "FUNCTION")


def clauses(name: str) -> dict[str, exp.Property]:
    """Return the clauses of a function, in their order; a parser need not check their names."""
    names = {
        exp.ReturnsProperty: "returns",
        exp.LanguageProperty: "language",
        exp.StrictProperty: "strict",
        exp.StabilityProperty: "immutable",
        exp.SchemaCommentProperty: "comment",
        exp.HandlerProperty: "handler",
    }
    properties = function_of(name).args["properties"].expressions
    return {names.get(type(one)) or one.this.name: one for one in properties}


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "not_managed"])
def test_the_clauses_of_a_function_have_the_order_that_snowflake_asks_for(name: str) -> None:
    assert [*clauses(name)] == CLAUSES


def test_the_function_that_verifies_takes_nothing_and_may_differ_each_time() -> None:
    assert [*clauses("verify_function")] == [
        clause for clause in CLAUSES if clause not in ("strict", "immutable")
    ]
    assert function_of("verify_function").this.expressions == []


def literals(name: str, clause: str) -> list[str]:
    return [literal.name for literal in clauses(name)[clause].find_all(exp.Literal)]


def test_a_quoted_stage_is_read_back_as_it_was_named() -> None:
    assert literals("grants_and_quoted_names", "imports") == [
        '@"My Database"."text; embeddings"."it\'s a ""stage"""'
        "/minilm/v0123456789ab/minilm-bcdef01234567.zip"
    ]


def test_packages_have_the_pins_versions_or_those_that_are_tested() -> None:
    assert literals("pinned_packages", "packages") == [
        "numpy==2.1.3",
        "pandas==2.3.3",
        "tensorflow==2.19.1",
        "tokenizers==0.23.3",
    ]
    assert literals("anaconda_python_312", "packages") == [
        "numpy==1.26.4",
        "pandas==2.1.4",
        "tensorflow==2.17.0",
        "tokenizers==0.19.1",
    ]
    assert literals("tensorflow_text", "packages")[2:] == [
        "tensorflow==2.21.0",
        "tensorflow-text==2.21.1",
    ]


def test_a_function_has_another_name_for_each_change_of_what_it_is() -> None:
    changes = [
        "defaults",
        "anaconda_python_312",
        "pinned_packages",
        "other_repository",
        "small_batches",
        "another_schema",
    ]
    assert len({function_of(name).find(exp.Table).name for name in changes}) == len(changes)  # pyright: ignore[reportOptionalMemberAccess]


def test_a_function_keeps_its_name_where_only_others_change(project: Project) -> None:
    same = [{}, {"grants": ["analyst"]}, {"stage_encryption": "SNOWFLAKE_FULL"}]
    names = {told(project, "function_name", settings) for settings in same}

    [name] = names
    assert name.startswith("analytics.tf_embeddings.tf_embeddings_minilm_bcdef01234567_")
    assert re.fullmatch("[0-9a-f]{8}", name.rpartition("_")[2])


def test_names_that_snowflake_takes_for_the_same_make_the_same_function(project: Project) -> None:
    """Otherwise drop_unused on one target would drop what a different target runs."""
    same = [
        {"artifact_repository": ANACONDA},
        {"database": "ANALYTICS", "artifact_repository": ANACONDA.upper()},
        {"database": '"ANALYTICS"', "schema": "TF_Embeddings", "stage": '"MODELS"'},
    ]
    others = [{"database": '"analytics"'}, {"schema": '"tf_embeddings"'}, {"stage": '"Models"'}]
    digests = [
        told(project, "function_name", {"artifact_repository": ANACONDA, **names})[-8:]
        for names in same + others
    ]

    assert len(set(digests[:3])) == 1
    assert len(set(digests)) == 4


def test_a_version_of_another_artifact_names_no_existing_function(project: Project) -> None:
    mixed = {**MINILM, "version": USE["version"]}

    assert told(project, "function_name") != told(
        project, "function_name", {"models": {"minilm": mixed}}
    )


def test_an_age_is_read_from_what_list_and_show_say(project: Project) -> None:
    zone = timezone(timedelta(hours=-7))
    eight_days_ago = datetime.now(UTC) - timedelta(days=8)
    days = [
        eight_days_ago.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        eight_days_ago.strftime("%a, %-d %b %Y %H:%M:%S GMT"),
        eight_days_ago.astimezone(zone).isoformat(),
        eight_days_ago.strftime("%Y-%m-%d %H:%M:%S"),
    ]
    unknown = ["", None, "yesterday", 7, "Wed, 11 Nov 9026 10:00:00 GMT"]
    ages = told(project, "ages", times=days + unknown)

    assert [round(age) for age in ages] == [8] * len(days) + [0] * (len(unknown) + 1)


# What a user writes -> what Snowflake reads.
IDENTIFIERS = {
    "analytics": "analytics",
    "Analytics": "Analytics",
    "_a$1": "_a$1",
    "my database": '"my database"',
    "a.b": '"a.b"',
    "1st": '"1st"',
    "données": '"données"',
    'say "hi"': '"say ""hi"""',
    "it's": '"it\'s"',
    "a;b": '"a;b"',
    '"kept as it is"': '"kept as it is"',
    '"a""b"': '"a""b"',
    '"a"b"': '"""a""b"""',
    "a" * 255: "a" * 255,
}


def test_names_are_quoted_where_they_need_it(project: Project) -> None:
    assert told(project, "identifiers", names=[*IDENTIFIERS]) == [*IDENTIFIERS.values()]


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_a_quoted_name_is_one_name_for_a_parser(name: str) -> None:
    [identifier] = sqlglot.parse_one(
        f"create schema {IDENTIFIERS[name]}", read="snowflake"
    ).find_all(exp.Identifier)
    plain = name[1:-1].replace('""', '"') if re.fullmatch('"([^"]|"")*"', name) else name

    assert identifier.name == plain


NO_IDENTIFIERS = ["", '""', " ", "a" * 256, "a\\b", "a$$b", "a\nb"]


def test_what_no_name_can_be_is_none(project: Project) -> None:
    names = [*IDENTIFIERS, *NO_IDENTIFIERS]

    assert told(project, "are_identifiers", names=names) == [name in IDENTIFIERS for name in names]


def locked(file: str, *, python: str | None = None) -> dict[str, str]:
    """Return name -> version of a lock file; where they differ by Python, those for `python`."""
    lines = (PACKAGE / file).read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([\w.-]+)==(\S+)(?: ; (.*?))? \\$", line) for line in lines)
    return {
        one[1]: one[2] for one in found if one and (one[3] is None or f"< '{python}'" in one[3])
    }


@pytest.mark.parametrize(
    ("repository", "file"),
    [
        ("snowflake.snowpark.pypi_shared_repository", "requirements-dev.lock"),
        ("tools.python.our_packages", "requirements-dev.lock"),
        (ANACONDA, "requirements-anaconda.lock"),
    ],
)
def test_the_versions_are_those_that_the_tests_run(
    project: Project, repository: str, file: str
) -> None:
    versions = told(project, "versions", repository=repository)
    lock = locked(file, python="3.12")

    is_pypi = file == "requirements-dev.lock"
    pypi_only = {"ai-edge-litert", "tensorflow-text", *needs_of("ai-edge-litert")}
    assert set(versions) == (pypi_only if is_pypi else set()) | {
        "numpy",
        "pandas",
        "sentencepiece",
        "tensorflow",
        "tokenizers",
    }
    assert versions == {name: lock.get(name) for name in versions}


def needs_of(package: str) -> set[str]:
    """Return what a package needs by its metadata, and what that needs, on any of Python's."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        for text in importlib.metadata.requires(waiting.pop()) or []:
            requirement = Requirement(text)
            is_asked = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            name = canonicalize_name(requirement.name)
            if is_asked and name not in found:
                found.add(name)
                waiting.append(name)
    return found


@pytest.mark.parametrize("name", ["litert", "litert_other_repository", "litert_pinned_packages"])
def test_all_that_litert_needs_is_named_with_its_version(name: str) -> None:
    packages = literals(name, "packages")
    names = {canonicalize_name(package.split("==")[0]) for package in packages}

    assert needs_of("ai-edge-litert") < names
    assert len(names) == len(packages)
    assert all("==" in package for package in packages)


def test_what_a_pin_says_of_a_package_that_litert_needs_counts() -> None:
    packages = literals("litert_pinned_packages", "packages")

    assert packages[0] == "ai_edge_litert==2.2.0"
    assert [one for one in packages if one.lower().startswith("protobuf")] == ["Protobuf==5.29.5"]
