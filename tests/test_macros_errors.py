"""What a user reads when something is wrong: one clear sentence with the next step."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from duckdb_projects import Project, Run, make_project, stage
from makers import Artifact

MODELS = {
    "models/embedded.sql": "select {{ tf_embeddings.embed(\"'fox'\") }} as embedding",
    "models/embedded_by_name.sql": (
        "select {{ tf_embeddings.embed(\"'fox'\", model='use') }} as embedding"
    ),
    "models/versioned.sql": "select {{ tf_embeddings.embedding_version('use') }} as version",
    "models/plain.sql": "select 1 as id",
}

GOOD_PIN = {
    "version": "v0123456789ab",
    "build": "b0123456789ab",
    "dimensions": 384,
    "kind": "tokens",
    "packages": ["numpy", "tensorflow==2.21.0"],
}

IDENTIFIER = "a name of 1 to 255 characters without backslashes, $$ and line breaks"
REPOSITORY = (
    "snowflake.snowpark.pypi_shared_repository, snowflake.snowpark.anaconda_shared_repository or "
    "the name of a different one, as database.schema.name"
)
ROLES = "a list of roles, such as [analyst, reporter]"

SCRIPT = "dbt_packages/tf_embeddings/scripts/stage_model.py"
NEXT_STEP = f"Copy the pin that {SCRIPT} prints into dbt_project.yml (or vars.yml)."


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that embeds, with nothing staged and nothing pinned."""
    return make_project(tmp_path_factory.mktemp("dbt") / "project", files=MODELS)


def error_of(project: Project, select: str, settings: dict[str, Any]) -> str:
    """Return what dbt compile prints of a model with these vars; it must fail."""
    run = project.dbt("compile", "--select", select, "--vars", json.dumps(settings))
    assert not run.success
    return run.output


def pins(**pin: object) -> dict[str, Any]:
    return {"tf_embeddings_models": {"minilm": {**GOOD_PIN, **pin}}}


def test_a_good_pin_compiles(project: Project) -> None:
    for pin in (pins(), pins(bytes=90_000_000)):  # one of 0.1 has no bytes
        run = project.dbt("compile", "--select", "embedded", "--vars", json.dumps(pin))
        assert run.success, run.errors


def test_a_model_that_is_not_pinned(project: Project) -> None:
    assert (
        "embed: model 'use' is not in var tf_embeddings_models (it has: minilm). "
        f"Correct the name, or stage it with {SCRIPT} and add its pin to dbt_project.yml (or "
        "vars.yml)."
    ) in error_of(project, "embedded_by_name", pins())


def test_the_hook_names_the_file_of_a_model_that_is_not_pinned(project: Project) -> None:
    run = project.dbt("run", "--select", "embedded_by_name", "--vars", json.dumps(pins()))

    assert not run.success
    assert (
        "embed in models/embedded_by_name.sql: model 'use' is not in var tf_embeddings_models (it "
        "has: minilm). Correct the name, or stage it with "
    ) in run.output


def test_a_model_that_is_not_pinned_has_no_version(project: Project) -> None:
    assert (
        "embedding_version: model 'use' is not in var tf_embeddings_models (it has: minilm). "
        f"Correct the name, or stage it with {SCRIPT} and add its pin to dbt_project.yml (or "
        "vars.yml)."
    ) in error_of(project, "versioned", pins())


@pytest.mark.parametrize("models", [{}, None])
def test_no_model_is_pinned(project: Project, models: object) -> None:
    assert (
        f"embed: var tf_embeddings_models has no models. Stage one with {SCRIPT} and add its pin "
        "to dbt_project.yml (or vars.yml). It is read from the project's vars, not from those of a "
        "package."
    ) in error_of(project, "embedded", {"tf_embeddings_models": models})


def test_several_models_and_no_default(project: Project) -> None:
    settings = {"tf_embeddings_models": {"minilm": GOOD_PIN, "use": GOOD_PIN}}

    assert (
        "embed: var tf_embeddings_models has several models (minilm, use). Pass model='…', "
        "or name one in var tf_embeddings_default_model."
    ) in error_of(project, "embedded", settings)


def test_a_default_that_is_not_pinned(project: Project) -> None:
    assert (
        "embed: var tf_embeddings_default_model is 'use', which is not in var "
        f"tf_embeddings_models (it has: minilm). Correct the name, or stage it with {SCRIPT} and "
        "add its pin to dbt_project.yml (or vars.yml)."
    ) in error_of(project, "embedded", {**pins(), "tf_embeddings_default_model": "use"})


# name of a model -> its pin, and what is said of it. They are one var, which dbt parses once.
WRONG_PINS: dict[str, tuple[object, str]] = {
    "no_v": (
        {**GOOD_PIN, "version": "0123456789ab"},
        "has version '0123456789ab'; it must be 'v' and 12 hex digits",
    ),
    "upper_case": (
        {**GOOD_PIN, "version": "v0123456789AB"},
        "has version 'v0123456789AB'; it must be 'v' and 12 hex digits",
    ),
    "quote": (
        {**GOOD_PIN, "version": "v0123456789ab'"},
        "has version \"v0123456789ab'\"; it must be 'v' and 12 hex digits",
    ),
    "null_version": (
        {**GOOD_PIN, "version": None},
        "has version None; it must be 'v' and 12 hex digits",
    ),
    "number": (
        {**GOOD_PIN, "build": 12},
        "has build 12; it must be 'b' and 12 hex digits",
    ),
    "line_break": (
        {**GOOD_PIN, "build": "b0123456789ab\n"},
        "has build 'b0123456789ab\\n'; it must be 'b' and 12 hex digits",
    ),
    "no_build": (
        {part: value for part, value in GOOD_PIN.items() if part != "build"},
        "has no build; it must be 'b' and 12 hex digits",
    ),
    "text": (
        {**GOOD_PIN, "dimensions": "384"},
        "has dimensions '384'; it must be a whole number from 1 to 100000",
    ),
    "none_at_all": (
        {**GOOD_PIN, "dimensions": 0},
        "has dimensions 0; it must be a whole number from 1 to 100000",
    ),
    "boolean": (
        {**GOOD_PIN, "dimensions": True},
        "has dimensions True; it must be a whole number from 1 to 100000",
    ),
    "no_kind": (
        {**GOOD_PIN, "kind": ""},
        "has kind ''; it must be text, tokens, sentencepiece, static or pairs",
    ),
    "unknown_kind": (
        {**GOOD_PIN, "kind": "images"},
        "has kind 'images'; it must be text, tokens, sentencepiece, static or pairs",
    ),
    "kinds": (
        {**GOOD_PIN, "kind": ["tokens"]},
        "has kind ['tokens']; it must be text, tokens, sentencepiece, static or pairs",
    ),
    "one_package": (
        {**GOOD_PIN, "packages": "numpy"},
        "has packages 'numpy'; it must be a list of Python packages, such as "
        "[numpy, 'tensorflow==2.21.0']",
    ),
    "no_bytes": (
        {**GOOD_PIN, "bytes": "90 MB"},
        "has bytes '90 MB'; it must be the size of the file, a whole number from 1",
    ),
    "no_package": (
        {**GOOD_PIN, "packages": ["numpy'"]},
        'has packages ["numpy\'"]; it must be a list of Python packages, such as '
        "[numpy, 'tensorflow==2.21.0']",
    ),
}


@pytest.mark.parametrize("name", WRONG_PINS)
def test_a_wrong_pin(project: Project, name: str) -> None:
    says = WRONG_PINS[name][1]

    assert (
        f"embed: the pin of model '{name}' in var tf_embeddings_models {says}. {NEXT_STEP}"
    ) in error_of_wrong_pin(project, name)


def test_a_pin_of_more_dimensions_than_a_vector_has(project: Project) -> None:
    assert (
        "embed: the pin of model 'too_many' in var tf_embeddings_models has dimensions 100001; a "
        "vector has at most 100000 on duckdb. Stage the model again with --truncate-dim 100000, or "
        "choose a model of fewer dimensions."
    ) in error_of_wrong_pin(project, "too_many")


def test_a_pin_that_is_only_a_version(project: Project) -> None:
    assert (
        "embed: model 'only_version' in var tf_embeddings_models is 'v0123456789ab'; it must be a "
        f"map of version, build, dimensions, kind and packages. {NEXT_STEP}"
    ) in error_of_wrong_pin(project, "only_version")


def test_a_name_that_no_function_could_have(project: Project) -> None:
    assert (
        "embed: 'MiniLM-L6' in var tf_embeddings_models is not a model's name; it must be a lower "
        f"case letter and at most 39 lower case letters, digits and underscores. {NEXT_STEP}"
    ) in error_of_wrong_pin(project, "MiniLM-L6")


def error_of_wrong_pin(project: Project, name: str) -> str:
    models = {model: pin for model, (pin, _) in WRONG_PINS.items()}
    too_many = {**GOOD_PIN, "dimensions": 100_001}
    models |= {"only_version": "v0123456789ab", "MiniLM-L6": GOOD_PIN, "too_many": too_many}
    settings = json.dumps({"tf_embeddings_models": models})
    call = f"{{{{ tf_embeddings.embed('body', model='{name}') }}}}"
    run = project.dbt("compile", "--inline", call, "--vars", settings)
    assert not run.success
    return run.output


@pytest.mark.parametrize(
    ("var", "value", "says"),
    [
        ("models", ["minilm"], "['minilm']; it must be a map of model names to pins"),
        ("default_model", " ", "' '; it must be a name"),
        ("default_model", 7, "7; it must be a name"),
        ("database", 7, f"7; it must be {IDENTIFIER}"),
        ("schema", "a$$b", f"'a$$b'; it must be {IDENTIFIER}"),
        ("schema", "a" * 256, f"it must be {IDENTIFIER}"),
        ("stage", '""', f"'\"\"'; it must be {IDENTIFIER}"),
        ("stage", ["models"], f"['models']; it must be {IDENTIFIER}"),
        (
            "stage_encryption",
            "snowflake_sse",
            "'snowflake_sse'; it must be SNOWFLAKE_SSE or SNOWFLAKE_FULL",
        ),
        ("runtime_version", 3.1, "3.1; it must be 3.11, 3.12 or 3.13"),
        ("runtime_version", "3.14", "'3.14'; it must be 3.11, 3.12 or 3.13"),
        ("runtime_version", ["3.11"], "['3.11']; it must be 3.11, 3.12 or 3.13"),
        ("artifact_repository", "pypi", f"'pypi'; it must be {REPOSITORY}"),
        ("artifact_repository", "a.b.c; drop", f"'a.b.c; drop'; it must be {REPOSITORY}"),
        ("artifact_repository", ["a.b.c"], f"['a.b.c']; it must be {REPOSITORY}"),
        ("max_batch_size", 0, "0; it must be a whole number from 1 to 4096"),
        ("max_batch_size", 4097, "4097; it must be a whole number from 1 to 4096"),
        ("max_batch_size", 1.5, "1.5; it must be a whole number from 1 to 4096"),
        ("max_batch_size", "512", "'512'; it must be a whole number from 1 to 4096"),
        ("max_batch_size", True, "True; it must be a whole number from 1 to 4096"),
        ("grants", "analyst", f"'analyst'; it must be {ROLES}"),
        ("grants", ["analyst", 7], f"['analyst', 7]; it must be {ROLES}"),
        ("grants", ["analyst", ""], f"['analyst', '']; it must be {ROLES}"),
        ("grants", 7, f"7; it must be {ROLES}"),
        ("grants", {"analyst": True}, f"{{'analyst': True}}; it must be {ROLES}"),
        *(
            (
                "manage",
                value,
                f"{value!r}; it must be true or false, or the list of the targets that do, such as "
                "[admin]",
            )
            for value in ("no", 0, [], ["admin", 7])
        ),
    ],
)
def test_a_wrong_setting(project: Project, var: str, value: object, says: str) -> None:
    settings = {**pins(), f"tf_embeddings_{var}": value}
    error = error_of(project, "embedded", settings)

    assert f"tf_embeddings: var tf_embeddings_{var} is " in error
    assert f"{says}. Change it under vars in dbt_project.yml, or in --vars." in error


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            "embed(a_column)",
            "embed: text is empty; it must be a SQL expression in quotes, such as a column: "
            "embed(text='body', …).",
        ),
        (
            "embed('body', model=7)",
            "embed: model is 7; it must be the name of a model in quotes, such as "
            "model='minilm', or be left out for the default model.",
        ),
        (
            "token_count(a_column)",
            "token_count: text is empty; it must be a SQL expression in quotes, such as a column: "
            "token_count(text='body', …).",
        ),
        (
            "token_count('body', model='use')",
            "token_count: model 'use' is not in var tf_embeddings_models (it has: minilm). "
            f"Correct the name, or stage it with {SCRIPT} and add its pin to dbt_project.yml (or "
            "vars.yml).",
        ),
        (
            "default___outcome('body', {}, 'token_count', true)",
            "token_count: tf_embeddings does not run on duckdb (it runs on: duckdb, snowflake). "
            "Choose a target of that type with --target.",
        ),
        (
            "cosine_similarity('a', none)",
            "cosine_similarity: b is empty; it must be a SQL expression in quotes, such as a "
            "column: cosine_similarity(b='body', …).",
        ),
        (  # What a warehouse without a dialect gets.
            "default___outcome('body', {}, 'embed', false)",
            "embed: tf_embeddings does not run on duckdb (it runs on: duckdb, snowflake). Choose a "
            "target of that type with --target.",
        ),
        (
            "nearest_neighbors(none, 'b', 'id', 'id')",
            "nearest_neighbors: queries is empty; it must be a ref, a source, the name of a CTE, "
            "or a query in quotes.",
        ),
        (
            "nearest_neighbors('a', 'b', 'id', 'id', k='10')",
            "nearest_neighbors: k is '10'; it must be a whole number from 1, the number of "
            "neighbors to find for each query.",
        ),
        (
            "nearest_neighbors('a', 'b', 'id', 'id', k=0)",
            "nearest_neighbors: k is 0; it must be a whole number from 1, the number of "
            "neighbors to find for each query.",
        ),
    ],
)
def test_a_wrong_argument(project: Project, call: str, says: str) -> None:
    run = project.dbt(
        "compile", "--inline", f"{{{{ tf_embeddings.{call} }}}}", "--vars", json.dumps(pins())
    )

    assert not run.success
    assert says in run.output


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("nearest_neighbors({}, 'b', 'id', 'id')", "nearest_neighbors: queries"),
        ("nearest_neighbors('a', {}, 'id', 'id')", "nearest_neighbors: corpus"),
        ("near_duplicates({}, 'id')", "near_duplicates: relation"),
        ("with_embeddings({}, 'body', 'store')", "with_embeddings: relation"),
        ("with_embeddings('a', 'body', {})", "with_embeddings: store"),
        ("embedding_store_metrics({})", "embedding_store_metrics: store"),
        ("_judged_ids('embeddings_are_similar', 'pairs', {}, ['a'])", "embeddings_are_similar: pa"),
        ("_source_relation({{'kind': 'relation', 'name': {}}})", "embedding_store: relation"),
    ],
)
def test_a_relation_as_text_is_a_name_or_a_query(project: Project, call: str, what: str) -> None:
    """Whatever takes one: the store's sources and the data tests as well."""

    def compiled(text: str) -> Run:
        inline = f"{{{{ tf_embeddings.{call.format(repr(text))} }}}}"
        return project.dbt("compile", "--inline", inline, "--vars", json.dumps(pins()))

    refused = compiled("base; drop table other")
    assert not refused.success
    assert what in refused.output
    assert "is 'base; drop table other'; a text must be a name, such as base or" in refused.output
    for text in (
        *("naïve", 'a."b; c".d_1', "-- a name\nbase"),
        *("select 1 as id", "(select 1 as id) dbt_subquery"),
        *("-- a query\nselect 1 as id", "/* a query; */ select 1 as id -- of one row"),
    ):
        assert compiled(text).success, text


def test_a_model_of_strings_cannot_count_tokens(project: Project) -> None:
    call = "{{ tf_embeddings.token_count('body') }}"
    run = project.dbt("compile", "--inline", call, "--vars", json.dumps(pins(kind="text")))

    assert not run.success
    assert (
        "token_count: model 'minilm' is of kind text: it takes whole texts, and cannot tell how "
        "many tokens they have. Name a model of kind tokens, sentencepiece or static."
    ) in run.output


ANACONDA = "snowflake.snowpark.anaconda_shared_repository"
USE_PYPI = "Set var tf_embeddings_artifact_repository to snowflake.snowpark.pypi_shared_repository"
NOT_ANACONDAS = {
    "tensorflow-text": f"tensorflow-text, which {ANACONDA} does not have. {USE_PYPI}.",
    "ai-edge-litert": (
        f"ai-edge-litert, which {ANACONDA} is not known to have. {USE_PYPI}, or stage the model "
        "again with --engine tensorflow."
    ),
}


@pytest.mark.parametrize(
    ("call", "subject"),
    [
        (
            "snowflake___prepare_run(tf_embeddings._pins('embed'))",
            "tf_embeddings: model 'minilm'",
        ),
        (
            "_create_function(tf_embeddings._pin(), 'verify')",
            "tf_embeddings: model 'minilm'",
        ),
        # Before it asks anything of the account, which this one would not answer.
        (
            "snowflake___staging_place(tf_embeddings._pin().packages)",
            "stage_model: the model",
        ),
    ],
)
@pytest.mark.parametrize(
    ("packages", "missing"),
    [
        (["numpy", "tensorflow", "tensorflow-text"], "tensorflow-text"),
        (["numpy", "tensorflow", "TensorFlow_Text==2.17.0"], "tensorflow-text"),
        (["ai-edge-litert", "numpy", "tokenizers"], "ai-edge-litert"),
        (["numpy", "tokenizers", "AI_Edge.LiteRT==2.3.0"], "ai-edge-litert"),
    ],
)
def test_packages_that_are_not_anacondas(
    project: Project, packages: list[str], missing: str, call: str, subject: str
) -> None:
    settings = pins(packages=packages)
    settings["tf_embeddings_artifact_repository"] = "Snowflake.Snowpark.ANACONDA_SHARED_REPOSITORY"
    run = project.dbt(
        "compile", "--inline", f"{{{{ tf_embeddings.{call} }}}}", "--vars", json.dumps(settings)
    )

    assert not run.success
    assert f"{subject} needs the Python package {NOT_ANACONDAS[missing]}" in run.output
    assert run.sent("current_role") == []


def test_wrong_settings_stop_the_run_before_its_first_node(project: Project) -> None:
    run = project.dbt("run", "--select", "plain", "embedded", "--vars", json.dumps(pins(build="b")))

    assert not run.success
    assert run.statuses == {}
    assert run.sent("create table") == []


def test_wrong_settings_do_not_matter_to_a_run_that_embeds_nothing(project: Project) -> None:
    run = project.dbt("run", "--select", "plain", "--vars", json.dumps(pins(build="b")))

    assert run.success, run.errors


def test_wrong_settings_do_not_stop_parsing(project: Project) -> None:
    for settings in [
        {},
        {**pins(), "tf_embeddings_grants": "analyst", "tf_embeddings_max_batch_size": "512"},
        pins(build="b"),
        {"tf_embeddings_models": 7, "tf_embeddings_default_model": 7},
    ]:
        run = project.dbt("parse", "--vars", json.dumps(settings))
        assert run.success, run.errors


@pytest.fixture
def without_plugin(tmp_path: Path, tiny: Artifact) -> Project:
    project = make_project(tmp_path / "project", files=MODELS, plugin=False)
    project.pin(tiny=stage(project, tiny))
    return project


PLUGIN_IS_MISSING = (
    "target 'dev' of profile 'a_project' does not load the plugin tf_embeddings_duckdb. "
    "Add it to that target in profiles.yml: "
    "module_paths: [dbt_packages/tf_embeddings/udf_src] "
    "plugins: [{module: tf_embeddings_duckdb, config: {stage: tf_embeddings_stage}}]"
)


def test_the_plugin_is_not_configured(without_plugin: Project) -> None:
    run = without_plugin.dbt("run", "--select", "plain", "embedded")

    assert f"embed: {PLUGIN_IS_MISSING}" in run.output
    assert run.statuses == {}
    assert without_plugin.dbt("run", "--select", "plain").success


def test_the_plugin_is_not_configured_where_no_hook_runs(without_plugin: Project) -> None:
    run = without_plugin.dbt(
        "show", "--inline", "select {{ tf_embeddings.embed(\"'fox'\") }} as embedding"
    )

    assert f"embed: {PLUGIN_IS_MISSING}" in run.output


def test_the_plugin_is_not_configured_where_a_model_is_staged(without_plugin: Project) -> None:
    run = without_plugin.dbt("run-operation", "tf_embeddings._staging_target")

    assert not run.success
    assert f"stage_model: {PLUGIN_IS_MISSING}" in run.output


def test_the_lines_to_add_for_the_plugin_are_yaml(without_plugin: Project) -> None:
    run = without_plugin.dbt("run", "--select", "embedded")

    error = next(error for error in run.errors if "profiles.yml:" in error)
    lines = error.partition("profiles.yml:\n")[2].splitlines()[:2]
    indent = len(lines[0]) - len(lines[0].lstrip())
    assert yaml.safe_load("\n".join(line[indent:] for line in lines)) == {
        "module_paths": ["dbt_packages/tf_embeddings/udf_src"],
        "plugins": [{"module": "tf_embeddings_duckdb", "config": {"stage": "tf_embeddings_stage"}}],
    }


def test_an_artifact_that_is_not_staged(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", files=MODELS)
    project.pin(minilm=GOOD_PIN)
    run = project.dbt("run", "--select", "plain", "embedded")

    assert not run.success
    assert (
        "tf_embeddings: the artifact of model 'minilm' (version v0123456789ab, build "
        f"b0123456789ab) is not in the stage folder '{project.stage}' (it does not exist). Stage "
        "it with: python dbt_packages/tf_embeddings/scripts/stage_model.py minilm --write"
    ) in run.output
    assert run.statuses["model.a_project.plain"] == "skipped"
    assert run.statuses["model.a_project.embedded"] == "skipped"


def test_an_artifact_that_is_not_staged_matters_only_where_it_is_used(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", files=MODELS)
    project.pin(minilm=GOOD_PIN)

    assert project.dbt("run", "--select", "plain").success
    assert project.dbt("compile", "--select", "embedded").success


def test_the_staging_target_is_one_line_of_json(project: Project) -> None:
    run = project.dbt("run-operation", "tf_embeddings._staging_target")

    [line] = [text for text in run.printed if text.startswith("tf_embeddings_target ")]
    assert json.loads(line.removeprefix("tf_embeddings_target ")) == {
        "dbt": importlib.metadata.version("dbt-core"),
        "type": "duckdb",
        "target": "dev",
        "stage": str(project.stage),
        "engines": ["litert", "tensorflow"],
        "most_dimensions": 100_000,
    }


def test_a_wrong_version_never_marks_a_vector_even_where_a_failing_hook_stops_nothing(
    tmp_path: Path, tiny: Artifact
) -> None:
    project = make_project(tmp_path / "project", files=MODELS, hook_stops_run=False)
    project.pin(tiny={**stage(project, tiny), "version": "v0123456789ab"})
    run = project.dbt("run", "--select", "embedded")

    assert not run.success
    assert (
        f"says version v0123456789ab and 8 dimensions, but its artifact {tiny.path.name} has "
        in (run.output)
    )
    assert run.statuses["model.a_project.embedded"] == "error"
