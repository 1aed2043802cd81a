"""Vars below the name of a package.

All of dbt's nodes, the hook and the operations see one value, or a run stops before its first node.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from duckdb_projects import NAME, PACKAGE, Project, make_project, stage
from makers import Artifact
from snowflake_projects import LocalSnowflake, make_snowflake_project
from test_snowflake_macros import ddl

WORDS = "select unnest(['fox', 'dog', 'bee']) as word"
EMBED = "select word, {{ tf_embeddings.embed('word') }} as embedding from {{ ref('words') }}"
FILES = {
    "models/words.sql": WORDS,
    "models/embedded.sql": EMBED,
    "models/mine.sql": ("{{ tf_embeddings.embedding_store({'ref': 'words', 'column': 'word'}) }}"),
}


def settings(*artifacts: Artifact, **others: object) -> dict[str, Any]:
    models = {one.model: one.pin() for one in artifacts}
    return {
        "tf_embeddings_models": models,
        **{f"tf_embeddings_{name}": value for name, value in others.items()},
    }


@pytest.fixture
def project(tiny: Artifact, tmp_path: Path) -> Project:
    """A project that embeds in a table and in two stores, without pins yet."""
    project = make_project(tmp_path / "project", files=FILES, hook_stops_run=False)
    stage(project, tiny)
    return project


@pytest.mark.parametrize("scope", [NAME, "tf_embeddings"])
def test_settings_may_stand_below_a_name(
    scope: str, project: Project, tiny: Artifact, strings: Artifact
) -> None:
    stage(project, strings)
    sources = [{"ref": "words", "column": "word"}]
    model = "{{ 'ti' ~ 'ny' }}"  # dbt renders vars that are texts
    scoped = settings(
        tiny, strings, default_model=model, sources=sources, max_new_texts=2, schema="elsewhere"
    )
    project.configure(vars={scope: scoped, **settings(replace(tiny, build="b0123456789ab"))})
    run = project.dbt("build")

    assert run.success, run.errors
    assert tiny.build in run.sent("tf_embeddings_check(")[0]
    for store in ("mine", "embedding_store"):
        assert project.rows(f"select count(*), min(model) from {store}") == [(2, "tiny")]
    for operation, said in {
        "status": "ok",
        "drop_unused": "Nothing is unused",
        "estimate": "tiny",
    }.items():
        done = project.dbt("run-operation", f"tf_embeddings.{operation}")
        assert done.success, done.errors
        assert said in " ".join(done.said)


def test_vars_of_the_command_line_go_first(
    project: Project, tiny: Artifact, strings: Artifact
) -> None:
    stage(project, strings)
    project.configure(vars={NAME: settings(tiny)})
    given = json.dumps(settings(strings))
    run = project.dbt("run", "--select", "words", "embedded", "--vars", given)

    assert run.success, run.errors
    assert strings.build in run.sent("tf_embeddings_check(")[0]
    assert project.rows("select len(embedding) from embedded") == [(3,)] * 3


def test_a_unit_test_may_override_a_scoped_var(
    project: Project, tiny: Artifact, strings: Artifact
) -> None:
    stage(project, strings)
    project.configure(vars={NAME: settings(tiny)})
    project.write("models/long.sql", "select len({{ tf_embeddings.embed(\"'fox'\") }}) as long")
    unit = {
        "name": "is_short",
        "model": "long",
        "given": [],
        "overrides": {"vars": settings(strings)},
        "expect": {"rows": [{"long": 3}]},
    }
    project.write_yaml("models/units.yml", {"unit_tests": [unit]})

    assert project.dbt("test", "--select", "is_short").status("is_short") == "pass"


def test_two_scopes_that_differ_stop_the_run(project: Project, tiny: Artifact) -> None:
    other = replace(tiny, build="b0123456789ab")
    project.configure(vars={NAME: settings(tiny), "tf_embeddings": settings(other)})
    run = project.dbt("run")

    assert not run.success
    assert run.statuses == {}
    assert (
        "tf_embeddings: var tf_embeddings_models is set below vars: tf_embeddings: and below vars: "
        "a_project: in dbt_project.yml, so packages would see different values. Set it once, "
        "below vars: or below vars: a_project:."
    ) in run.output


@pytest.mark.parametrize("is_its_own", [True, False])
def test_a_pin_that_the_hook_does_not_see_stops_the_run(
    is_its_own: bool, project: Project, tiny: Artifact
) -> None:
    """Only a package's own nodes see its vars."""
    scope = {"other": settings(replace(tiny, build="b0123456789ab"))}
    own = {"name": "other", "version": "1.0", "vars": scope if is_its_own else {}}
    project.write_yaml("other/dbt_project.yml", own)
    project.write("other/models/other_words.sql", WORDS)
    project.write("other/models/other_embedded.sql", EMBED.replace("words", "other_words"))
    project.write_yaml("packages.yml", {"packages": [{"local": str(PACKAGE)}, {"local": "other"}]})
    project.configure(vars={NAME: settings(tiny), **({} if is_its_own else scope)})
    assert project.dbt("deps").success
    run = project.dbt("run")

    assert not run.success
    assert run.statuses == {}
    sentence = (
        "embed: model.other.other_embedded embeds with model 'tiny', version "
        f"{tiny.version}, build b0123456789ab, and the hook of the package sees version "
        f"{tiny.version}, build {tiny.build}. Pin it for all packages, directly below vars: in "
        "the dbt_project.yml of a_project."
    )
    assert sentence in run.output
    assert sentence in project.dbt("run-operation", "tf_embeddings.drop_unused").output


def test_commands_name_the_packages_folder_and_the_project(
    project: Project, tiny: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if dbt is called from a different folder, or packages are installed in one."""
    project.configure(
        vars={NAME: settings(replace(tiny, build="b0123456789ab"))},
        **{"packages-install-path": "installed"},
    )
    assert project.dbt("deps").success
    monkeypatch.setattr("sys.argv", ["dbt", "run-operation", "--project-dir", "here"])
    run = project.dbt("run-operation", "tf_embeddings.status")
    place = f"{project.folder}/installed/tf_embeddings/scripts/stage_model.py"

    assert f'python {place} tiny --write --target dev --project-dir "{project.folder}"' in "".join(
        run.said
    )
    monkeypatch.setattr("sys.argv", ["dbt", "run-operation"])
    run = project.dbt("run-operation", "tf_embeddings.estimate", "--args", "{store: mine}")
    assert (
        'estimate: "a_project"."main"."words", a source of store \'mine\', is not built yet. Build '
        "what the store reads: dbt build --select +mine --exclude mine"
    ) in run.output
    run = project.dbt("run-operation", "tf_embeddings.status")
    assert "python installed/tf_embeddings/scripts/stage_model.py tiny" in "".join(run.said)


def test_a_scoped_pin_and_schema_reach_the_hook_on_snowflake(
    tiny_with_runtime: Artifact, local_snowflake: LocalSnowflake, tmp_path: Path
) -> None:
    """The function is created in the schema where the model calls it."""
    tiny = tiny_with_runtime
    project = make_snowflake_project(tmp_path / "project", local_snowflake)
    project.put(tiny, stage="scoped.models")
    project.configure(vars={NAME: settings(tiny, schema="scoped", max_batch_size=7)})
    project.write("models/a.sql", "select {{ tf_embeddings.embed(\"'fox'\") }} as embedding")
    run = project.dbt("run", "--empty")

    [create] = [sql for sql in ddl(run) if sql.startswith("create function")]
    name = create.partition("(")[0].rpartition(" ")[2]
    assert name.split(".")[1] == "scoped"
    assert run.sent(f"{name}(cast('fox' as varchar)")
