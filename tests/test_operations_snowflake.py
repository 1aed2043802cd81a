"""The operations on Snowflake: verify, status, drop_unused, and the roles that may call them."""

from __future__ import annotations

import importlib.metadata
import json
import re
import secrets
from pathlib import Path
from typing import Any

import makers
import pytest
from conftest import Saved
from duckdb_projects import NAME, Run
from makers import Artifact, golden_of
from snowflake.connector.errors import ProgrammingError
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project, serve
from tf_embeddings_udf import Embedder

TEXTS = ["the quick brown fox", "a", "where is my invoice"]
STAGE_IT = "python dbt_packages/tf_embeddings/scripts/stage_model.py {} --write --target dev"
# Run with --empty, the hook creates the functions and no text is embedded.
EMBEDDED = {
    "models/texts.sql": "select 'fox' as body",
    "models/embedded.sql": (
        "select {{ tf_embeddings.embed('body') }} as embedding from {{ ref('texts') }}"
    ),
}
OTHER_BUILD = "b0123456789ab"


def make_artifact(saved: Saved, folder: Path, golden: dict[str, Any], **keys: Any) -> Artifact:  # noqa: ANN401
    """Make an artifact as the CLI does: with its runtime and its golden vectors."""
    return makers.write_artifact(*saved, folder, with_runtime=True, golden=golden, **keys)


@pytest.fixture(scope="module")
def golden(tiny_embedder: Embedder) -> dict[str, Any]:
    return golden_of(tiny_embedder, TEXTS)


@pytest.fixture(scope="module")
def staged(
    litert_tokens_model: Saved, golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The small model, with its golden vectors."""
    return make_artifact(litert_tokens_model, tmp_path_factory.mktemp("stage"), golden)


@pytest.fixture(scope="module")
def tampered(
    litert_tokens_model: Saved, golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The same model, with one golden component that is off by 1e-3."""
    folder = tmp_path_factory.mktemp("stage")
    vectors = [list(vector) for vector in golden["vectors"]]
    vectors[1][1] += 1e-3
    return make_artifact(
        litert_tokens_model, folder, {**golden, "vectors": vectors}, model="tampered"
    )


@pytest.fixture
def project(tmp_path: Path, local_snowflake: LocalSnowflake, staged: Artifact) -> SnowflakeProject:
    """A project whose only model is staged and pinned."""
    return make_snowflake_project(
        tmp_path / "project", local_snowflake, artifacts=[staged], files=EMBEDDED
    )


NOT_VISIBLE = (
    "is not visible to role ACCOUNTADMIN: it does not exist, or no privilege on it is granted to "
    "this role; secondary roles do not count."
)


def operation(project: SnowflakeProject, name: str, **arguments: object) -> Run:
    """Call an operation; its arguments are what a user writes after --args, as YAML."""
    return project.dbt("run-operation", f"tf_embeddings.{name}", "--args", json.dumps(arguments))


def set_vars(project: SnowflakeProject, *artifacts: Artifact, **settings: object) -> None:
    """Pin artifacts and set vars, without their prefix."""
    pins = {"models": {one.model: one.pin() for one in artifacts}}
    project.configure(
        vars={f"tf_embeddings_{name}": value for name, value in (pins | settings).items()}
    )


def new_role(project: SnowflakeProject, *grants: str, name: str | None = None) -> str:
    """Create a role that has these grants and the project's database, and let dbt use it."""
    role = name or f"role_{secrets.token_hex(4)}"
    project.execute(f"create role if not exists {role}")
    project.execute(f"grant role {role} to user tester")
    for grant in (f"usage on database {project.name}", *grants):
        project.execute(f"grant {grant} to role {role}")
    target = project.server.profile(database=project.name, role=role)
    project.write_yaml("profiles.yml", {NAME: {"target": "dev", "outputs": {"dev": target}}})
    return role


def functions(project: SnowflakeProject) -> dict[str, str]:
    """Return the functions of the package's schema with their arguments, and their comments."""
    rows = project.rows("show user functions in schema tf_embeddings")
    return {str(row[8]).partition(" RETURN")[0].lower(): str(row[9]) for row in rows}


def files(project: SnowflakeProject) -> list[str]:
    return sorted(str(row[0]) for row in project.rows("list @tf_embeddings.models"))


def place(artifact: Artifact) -> str:
    return f"models/{artifact.path.relative_to(artifact.stage).as_posix()}"


def changes(run: Run) -> list[str]:
    """Return the statements of a run that change something."""
    block = "execute immediate $$\ndeclare\n  said varchar;\nbegin\n  select "
    reads = ("select", "show", "list", "describe", block)
    return [one for one in run.statements if not one.lower().startswith(reads)]


def table(run: Run) -> list[list[str]]:
    """Return the rows of status' table: six cells, and its last column's text."""
    start = next(place for place, line in enumerate(run.said) if line.startswith("model "))
    header = run.said[start]
    starts = [header.index(name) for name in header.split()]
    ends = [*starts[1:], None]
    return [
        [line[begin:end].strip() for begin, end in zip(starts, ends, strict=True)]
        for line in run.said[start + 1 :]
    ]


def test_verify_creates_the_check_function_once(
    project: SnowflakeProject, staged: Artifact
) -> None:
    first = operation(project, "verify", tolerance="1e-5")
    again = operation(project, "verify")

    assert first.success, first.errors
    assert again.success, again.errors
    for run in (first, again):
        [line] = run.said
        assert line.startswith(
            f"tiny {staged.version} {staged.build}: 3 texts, largest difference 0 "
            f"(tolerance 1e-05), LiteRT {importlib.metadata.version('ai-edge-litert')}, Python 3."
        )
        assert all(word in line for word in ("Python 3.", "NumPy ", "memory"))
    [(name, comment)] = functions(project).items()
    assert name.startswith(f"tf_embeddings_verify_tiny_{staged.build}_")
    assert name.endswith("()")
    assert comment.startswith("tf_embeddings: check of model tiny, version ")
    assert len(changes(first)) == 1
    assert changes(again) == []


def test_verify_names_the_engine_that_ran(
    project: SnowflakeProject,
    saved_tokens_model: Saved,
    golden: dict[str, Any],
    tmp_path: Path,
) -> None:
    artifact = make_artifact(saved_tokens_model, tmp_path / "stage", golden)
    project.put(artifact)
    set_vars(project, artifact)
    run = operation(project, "verify")

    assert run.success, run.errors
    [line] = run.said
    assert line.startswith(f"tiny {artifact.version} {artifact.build}: 3 texts, ")
    assert f"TensorFlow {importlib.metadata.version('tensorflow')}, Python 3." in line


def test_verify_fails_beyond_the_tolerance_and_says_what_to_do(
    project: SnowflakeProject, staged: Artifact, tampered: Artifact
) -> None:
    project.put(tampered)
    set_vars(project, tampered, staged)
    run = operation(project, "verify")
    tolerant = operation(project, "verify", tolerance=0.01, model="tampered")

    assert not run.success
    assert (
        f"verify: model 'tampered' (version {tampered.version}, build {tampered.build}) gives "
        "other vectors than when it was built: a component differs by 0.001, more than the "
        "tolerance of 1e-05, on LiteRT "
    ) in run.output
    assert f"or stage it again with: {STAGE_IT.format('tampered')}" in run.output
    assert [line.split()[0] for line in run.said] == ["tampered", "tiny"]
    assert tolerant.success, tolerant.errors


def test_verify_of_what_is_not_staged_creates_nothing(
    tmp_path: Path, local_snowflake: LocalSnowflake, staged: Artifact
) -> None:
    project = make_snowflake_project(tmp_path / "project", local_snowflake)
    set_vars(project, staged)
    without_schema = operation(project, "verify")
    project.execute("create schema tf_embeddings")
    project.execute("create stage tf_embeddings.models")
    without_file = operation(project, "verify")
    project.put(staged)
    set_vars(project, staged, models={"tiny": {**staged.pin(), "version": "v0123456789ab"}})
    wrong_version = operation(project, "verify")

    says = f"verify: model 'tiny' (version {staged.version}, build {staged.build}) is not on "
    stage = f"stage {project.name}.tf_embeddings.models."
    assert (
        f"{says}{stage} Schema {project.name}.tf_embeddings {NOT_VISIBLE} Stage it with: "
        f"{STAGE_IT.format('tiny')}"
    ) in without_schema.output
    assert f"{says}{stage} Stage it with: {STAGE_IT.format('tiny')}" in without_file.output
    assert f"as version {staged.version}. Correct the pin." in wrong_version.output
    for run in (without_schema, without_file, wrong_version):
        assert not run.success
        assert changes(run) == []


@pytest.mark.exhaustive
def test_verify_by_a_role_that_may_only_use_the_check_function(
    project: SnowflakeProject, staged: Artifact
) -> None:
    assert operation(project, "verify").success
    [check] = functions(project)
    new_role(
        project,
        f"usage on schema {project.name}.tf_embeddings",
        f"usage on function {project.name}.tf_embeddings.{check}",
    )
    set_vars(project, staged, manage=False)
    run = operation(project, "verify")

    assert run.success, run.errors
    assert len(run.said) == 1
    assert changes(run) == []


def test_verify_creates_its_function_although_another_role_manages(
    project: SnowflakeProject, staged: Artifact
) -> None:
    new_role(
        project,
        f"usage, create function on schema {project.name}.tf_embeddings",
        f"read on stage {project.name}.tf_embeddings.models",
    )
    set_vars(project, staged, manage=False)
    run = operation(project, "verify")

    assert run.success, run.errors
    assert len(changes(run)) == 1


def test_what_the_staging_cli_asks_creates_the_function_and_grants_it(
    project: SnowflakeProject, staged: Artifact
) -> None:
    role = f"analyst_{secrets.token_hex(4)}"
    project.execute(f"create role {role}")
    set_vars(project, grants=[role], manage=False)  # no pin
    run = operation(project, "_verify_staged", model="tiny", pin=staged.pin())
    again = operation(project, "_verify_staged", model="tiny", pin=staged.pin())

    assert run.success, run.errors
    [line] = [text for text in run.printed if text.startswith("tf_embeddings_answer ")]
    answer = json.loads(line.removeprefix("tf_embeddings_answer "))
    assert answer["problem"] is None
    assert answer["report"]["texts"] == 3
    assert len(functions(project)) == 2
    assert len([one for one in changes(run) if one.startswith("create function")]) == 2
    # Also where an earlier call, or a run that died, created the functions and no more.
    grants = changes(again)
    assert [one.partition(f" {project.name}.tf_embeddings")[0] for one in grants] == [
        "grant usage on schema",
        "grant read on stage",
        "grant usage on function",
        "grant usage on function",
    ]
    assert all(f" to role {role}" in one for one in grants)


@pytest.mark.parametrize("way", ["by a run", "by the staging CLI"])
def test_a_role_that_is_granted_can_run_status_and_verify(
    project: SnowflakeProject, staged: Artifact, way: str
) -> None:
    """Its user pins and never manages: SHOW hides from it what it was not granted."""
    manager = new_role(
        project,
        f"create schema on database {project.name}",
        f"ownership on schema {project.name}.tf_embeddings",
        f"ownership on stage {project.name}.tf_embeddings.models",
    )
    assert operation(project, "verify").success  # creates the check function, and grants nothing
    project.dbt("run", "--empty")
    project.execute(f"create role if not exists {manager}_reader")
    set_vars(project, staged, grants=[f"{manager}_reader"], manage=way == "by a run")
    if way == "by a run":
        assert project.dbt("run", "--empty").success
        granted = operation(project, "verify")
    else:
        granted = operation(project, "_verify_staged", model="tiny", pin=staged.pin())
    assert granted.success, granted.errors

    set_vars(project, staged, grants=[f"{manager}_reader"], manage=False)
    new_role(project, name=f"{manager}_reader")
    status, verify = operation(project, "status"), operation(project, "verify")

    assert status.success, status.errors
    assert table(status)[0][5:] == ["yes", "ok"]
    assert verify.success, verify.errors
    assert changes(status) == changes(verify) == []


@pytest.mark.exhaustive
def test_what_the_staging_cli_asks_looks_once_and_grants_once(
    project: SnowflakeProject, staged: Artifact
) -> None:
    set_vars(project, staged, grants=["public"])
    run = operation(project, "_verify_staged", model="tiny", pin=staged.pin())

    assert run.success, run.errors
    assert len(run.sent("show user functions")) == 1
    grants = run.sent("grant usage") + run.sent("grant read")
    assert len(grants) == len(set(grants)) == 4


def test_what_the_staging_cli_asks_creates_no_function_that_differs(
    project: SnowflakeProject, tampered: Artifact
) -> None:
    pin = project.put(tampered)
    run = operation(project, "_verify_staged", model="tampered", pin=pin)

    assert run.success, run.errors
    assert [name for name in functions(project) if "verify" not in name] == []


def test_status_of_a_database_without_anything(
    tmp_path: Path, local_snowflake: LocalSnowflake, staged: Artifact
) -> None:
    project = make_snowflake_project(tmp_path / "project", local_snowflake)
    nothing_pinned = operation(project, "status")
    set_vars(project, staged)
    pinned = operation(project, "status")
    project.execute("create schema tf_embeddings")
    without_stage = operation(project, "status")

    assert nothing_pinned.success, nothing_pinned.errors
    assert nothing_pinned.said == [
        f"Target dev (snowflake): stage {project.name}.tf_embeddings.models.",
        f"Schema {project.name}.tf_embeddings {NOT_VISIBLE}",
        "No model is pinned in var tf_embeddings_models.",
    ]
    assert not pinned.success
    assert not without_stage.success
    assert f"Stage {project.name}.tf_embeddings.models {NOT_VISIBLE}" in without_stage.said
    row = ["tiny", staged.version, staged.build, "yes", "?", "no"]
    state = f"not visible to role ACCOUNTADMIN; if it is not staged: {STAGE_IT.format('tiny')}"
    assert table(pinned) == table(without_stage) == [[*row, state]]
    assert "status: 1 of 1 pinned models cannot run: tiny." in pinned.output
    for run in (nothing_pinned, pinned, without_stage):
        assert changes(run) == []


def test_status_before_and_after_the_first_run(project: SnowflakeProject, staged: Artifact) -> None:
    before = operation(project, "status")
    project.dbt("run", "--empty")
    after = operation(project, "status")

    size = f"{staged.path.stat().st_size / 1000:.1f} kB"
    row = ["tiny", staged.version, staged.build, "yes", size]
    assert before.success, before.errors
    assert table(before) == [[*row, "no", "ok: the next run creates the function"]]
    assert after.success, after.errors
    assert table(after) == [[*row, "yes", "ok"]]
    assert changes(before) == changes(after) == []


def test_status_says_what_differs(
    project: SnowflakeProject, staged: Artifact, tampered: Artifact
) -> None:
    project.dbt("run", "--empty")
    project.put(tampered)
    [function] = functions(project)
    wrong = {**staged.pin(), "version": "v0123456789ab"}
    set_vars(project, models={"tiny": wrong}, max_batch_size=64)
    run = operation(project, "status")

    assert not run.success
    pinned, function_row, file_row = table(run)
    assert pinned[-1] == (
        f"wrong pin: its build is staged as version {staged.version}; correct the pin"
    )
    assert function_row == [
        *("tiny", staged.version, staged.build, "yes", "", "yes"),
        f"made with other settings: {project.name}.tf_embeddings.{function}",
    ]
    assert file_row[:4] == ["tampered", tampered.version, tampered.build, "no"]
    assert file_row[-1].startswith("no pin names it: '@")


def test_status_of_a_pin_whose_file_is_gone_from_under_its_function(
    project: SnowflakeProject, staged: Artifact
) -> None:
    project.dbt("run", "--empty")
    project.execute(f"remove @tf_embeddings.{place(staged)}")
    run = operation(project, "status")

    assert not run.success
    assert table(run)[0][4:] == ["no", "yes", f"not staged: {STAGE_IT.format('tiny')}"]


def test_status_by_a_role_that_may_only_read(project: SnowflakeProject, staged: Artifact) -> None:
    new_role(
        project,
        f"usage on schema {project.name}.tf_embeddings",
        f"read on stage {project.name}.tf_embeddings.models",
    )
    set_vars(project, staged, manage=False)
    run = operation(project, "status")

    assert not run.success
    assert table(run)[0][5:] == [
        "no",
        f"no function: let a role that may create it run: {STAGE_IT.format('tiny')} --verify, "
        "with this role in var tf_embeddings_grants",
    ]


@pytest.mark.exhaustive
def test_status_by_a_role_that_may_only_use_the_function(
    project: SnowflakeProject, staged: Artifact
) -> None:
    project.dbt("run", "--empty")
    [function] = functions(project)
    new_role(
        project,
        f"usage on schema {project.name}.tf_embeddings",
        f"usage on function {project.name}.tf_embeddings.{function}",
    )
    set_vars(project, staged, manage=False)
    run = operation(project, "status")

    assert run.success, run.errors
    assert table(run)[0][3:] == ["yes", "?", "yes", "ok"]


@pytest.mark.parametrize("verified", [True, False])
def test_what_only_a_secondary_role_may_use_is_not_said_to_be_missing(
    project: SnowflakeProject, staged: Artifact, verified: bool
) -> None:
    """SHOW lists what the current role may see; a query may use what a secondary role may."""
    assert project.dbt("run", "--empty").success
    assert operation(project, "verify").success
    schema = f"{project.name}.tf_embeddings"
    user_role = new_role(project, f"usage on schema {schema}")
    for function in functions(project):
        project.execute(f"grant usage on function {schema}.{function} to role {user_role}")
    current = new_role(project, f"usage on schema {schema}").upper()
    project.write(
        "macros/with_all_roles.sql",
        "{% macro with_all_roles(name) %}{% do run_query('use secondary roles all') %}"
        "{% do tf_embeddings[name]() %}{% endmacro %}",
    )
    set_vars(project, staged, manage=False)
    [check] = [name for name in functions(project) if name.endswith("()")]
    with project.server.connect(role=current) as connection:
        cursor = connection.cursor()
        cursor.execute("use secondary roles all")
        try:
            cursor.execute(f"select {schema}.{check}")
            may_use = True
        except ProgrammingError:  # a local Snowflake where secondary roles do not count
            may_use = False
    name = "verify" if verified else "status"
    run = project.dbt("run-operation", "with_all_roles", "--args", json.dumps({"name": name}))

    assert run.success is may_use, run.output
    not_visible = f"Stage {schema}.models {NOT_VISIBLE}".replace("ACCOUNTADMIN", current)
    if verified:
        assert (not_visible in run.output) is not may_use
        return
    assert not_visible in run.said
    assert table(run)[0][3:] == (
        ["yes", "?", "yes", "ok: a secondary role may use the function"]
        if may_use
        else [
            *("yes", "?", "no"),
            f"not visible to role {current}; if it is not staged: {STAGE_IT.format('tiny')}",
        ]
    )


def test_drop_unused_does_not_call_what_it_does_not_see_unused(
    project: SnowflakeProject, staged: Artifact
) -> None:
    schema = f"{project.name}.tf_embeddings"
    role = new_role(project, f"usage on schema {schema}").upper()
    run = operation(project, "drop_unused")

    assert run.success, run.errors
    assert run.said == [f"Stage {schema}.models {NOT_VISIBLE}".replace("ACCOUNTADMIN", role)]


def truncate(project: SnowflakeProject, artifact: Artifact) -> None:
    """Put the first half of an artifact in its place, as a broken upload does."""
    project.execute(f"remove @tf_embeddings.{place(artifact)}")
    half = project.folder / artifact.path.name
    half.write_bytes(artifact.path.read_bytes()[: artifact.path.stat().st_size // 2])
    folder = place(artifact).removeprefix("models/").rpartition("/")[0]
    project.execute(f"put 'file://{half}' @tf_embeddings.models/{folder}/ auto_compress = false")


def test_status_and_verify_of_a_truncated_file_name_the_functions_that_it_breaks(
    project: SnowflakeProject, staged: Artifact
) -> None:
    assert operation(project, "verify").success
    assert project.dbt("run", "--empty").success
    truncate(project, staged)
    status, verify = operation(project, "status"), operation(project, "verify")

    size = staged.path.stat().st_size
    names = ", ".join(name.partition("(")[0] for name in functions(project))
    damaged = (
        f"damaged: its file has {size // 2} bytes instead of {size}, which breaks {names}; put it "
        f"again with: {STAGE_IT.format('tiny')}"
    )
    assert not status.success
    assert table(status)[0][6] == damaged
    assert not verify.success
    assert f"is {damaged}" in verify.output


def test_status_runs_a_model_whose_pin_does_not_know_the_size(
    project: SnowflakeProject, staged: Artifact
) -> None:
    """A pin of 0.1, and a role that does not see the stage."""
    assert project.dbt("run", "--empty").success
    truncate(project, staged)
    old_pin = {key: value for key, value in staged.pin().items() if key != "bytes"}
    set_vars(project, models={"tiny": old_pin})
    run = operation(project, "status")

    assert not run.success
    assert table(run)[0][6] == (
        "cannot run: its staged file is damaged. Replace it, for all its functions, with: "
        f"{STAGE_IT.format('tiny')}"
    )
    assert changes(run) == []


@pytest.mark.parametrize("is_created", [True, False])
def test_status_of_a_role_that_may_not_use_the_repository(
    tmp_path: Path, staged: Artifact, is_created: bool
) -> None:
    user = "SNOWFLAKE.PYPI_REPOSITORY_USER"
    with serve() as server:
        project = make_snowflake_project(
            tmp_path / "project", server, artifacts=[staged], files=EMBEDDED
        )
        if is_created:
            assert project.dbt("run", "--empty").success
        project.execute(f"revoke database role {user} from role public")
        run = operation(project, "status")

    assert not run.success
    assert table(run)[0][6] == (
        "cannot run: the role of target 'dev' may not use "
        "snowflake.snowpark.pypi_shared_repository, where the function's Python packages come "
        f"from. Let ACCOUNTADMIN run: grant database role {user} to role accountadmin"
    )


def test_status_of_a_role_that_lacks_what_the_hook_needs(
    project: SnowflakeProject, staged: Artifact
) -> None:
    assert project.dbt("run", "--empty").success
    [function] = functions(project)
    schema = f"{project.name}.tf_embeddings"
    role = new_role(
        project,
        f"usage, create table, create view on schema {project.name}.dev",
        f"usage, create stage on schema {schema}",
        f"read on stage {schema}.models",
        f"usage on function {schema}.{function}",
    )
    lacking = operation(project, "status")
    for grant in (
        f"create schema on database {project.name}",
        f"create function on schema {schema}",
    ):
        project.execute(f"create role {role}_{grant.split()[1]}")
        project.execute(f"grant {grant} to role {role}_{grant.split()[1]}")
        project.execute(f"grant role {role}_{grant.split()[1]} to role {role}")
    through_roles = operation(project, "status")
    run = project.dbt("run", "--empty")

    assert not lacking.success
    assert table(lacking)[0][6].startswith(
        f"the role lacks create schema on database {project.name}, create function on schema "
        f"{schema}, which each run needs here: let the owner grant it, or set var "
        "tf_embeddings_manage to false or to the owner's target"
    )
    assert through_roles.success, through_roles.output
    assert table(through_roles)[0][6] == "ok"
    assert run.success, run.errors


@pytest.mark.exhaustive
def test_status_says_that_a_stage_keeps_its_encryption(
    project: SnowflakeProject, staged: Artifact
) -> None:
    set_vars(project, staged, stage_encryption="SNOWFLAKE_FULL")
    run = operation(project, "status")

    assert run.success, run.errors
    assert (
        f"Stage {project.name}.tf_embeddings.models is encrypted with SNOWFLAKE_SSE, and var "
        "tf_embeddings_stage_encryption is SNOWFLAKE_FULL: a stage keeps the encryption that it "
        "was created with. Correct the var, or name a new stage in var tf_embeddings_stage and "
        "stage the models again."
    ) in run.said


def test_the_owners_target_manages_and_is_named_to_the_others(
    project: SnowflakeProject, staged: Artifact
) -> None:
    set_vars(project, staged, manage=["admin"], grants=["public"])
    target = project.server.profile(database=project.name)
    project.write_yaml(
        "profiles.yml", {NAME: {"target": "dev", "outputs": {"dev": target, "admin": target}}}
    )
    before = operation(project, "status")
    owned = project.dbt("run", "--empty", "--target", "admin")
    after = operation(project, "status")
    refused = operation(project, "drop_unused")

    stage_it = STAGE_IT.format("tiny").replace("dev", "admin")
    assert table(before)[0][6] == (
        f"no function: let a role that may create it run: {stage_it} --verify"
    )
    assert owned.success, owned.errors
    assert len(owned.sent("grant ")) == 3
    assert after.success, after.errors
    assert "so others own what is staged and created. Run it with --target admin" in refused.output


@pytest.mark.exhaustive
def test_an_advised_command_carries_the_grants_of_the_command_line(
    tmp_path: Path, local_snowflake: LocalSnowflake, staged: Artifact
) -> None:
    project = make_snowflake_project(tmp_path / "project", local_snowflake)
    set_vars(project, staged)
    run = project.dbt(
        "run-operation", "tf_embeddings.status", "--vars", "{tf_embeddings_grants: [analyst, b]}"
    )

    assert table(run)[0][6].endswith(
        "stage_model.py tiny --write --target dev --vars '{tf_embeddings_grants: [analyst, b]}'"
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("stops", [True, False])
def test_a_second_role_that_manages_is_told_who_does(
    project: SnowflakeProject, staged: Artifact, stops: bool
) -> None:
    schema = f"{project.name}.tf_embeddings"
    project.configure(flags={"skip_nodes_if_on_run_start_fails": stops})
    new_role(
        project,
        f"create schema on database {project.name}",
        f"ownership on schema {schema}",
        f"ownership on stage {schema}.models",
    )
    first = project.dbt("run", "--empty")
    new_role(project, f"usage on schema {schema}", f"usage on schema {project.name}.dev")
    second = project.dbt("run", "--empty")

    assert first.success, first.errors
    assert not second.success
    # Where the hook stops the run, dbt does not tell what it said: Snowflake's own words remain.
    told = (
        "tf_embeddings: model 'tiny' cannot run: the role of target 'dev' may not create what "
        f"is missing. One role must own schema {schema} and have create schema on the database; "
        "all others set var tf_embeddings_manage to false, or to the owner's target, and are named "
        "in the owner's var tf_embeddings_grants."
    )
    assert "Insufficient privileges to operate on" in second.output
    assert (told in second.output) is not stops
    assert ("tf_embeddings: model" in second.output) is not stops


def test_drop_unused_lists_and_changes_nothing(
    project: SnowflakeProject, staged: Artifact, tampered: Artifact
) -> None:
    project.dbt("run", "--empty")
    [function] = functions(project)
    pin = project.put(tampered)
    set_vars(project, models={"tampered": pin})
    run = operation(project, "drop_unused", days=0)

    schema = f"{project.name}.tf_embeddings"
    assert run.success, run.errors
    assert run.said == [
        f"unused: function {schema}.{function} (no pin names it)",
        f"unused: file '@{schema}.{place(staged)}' (no pin names it)",
        "Nothing was dropped. Other projects or targets may still use these: check, then drop with "
        "--args '{drop: true}'.",
    ]
    assert changes(run) == []


@pytest.mark.exhaustive
def test_drop_unused_keeps_what_is_young(
    project: SnowflakeProject, staged: Artifact, tampered: Artifact
) -> None:
    """A model is staged, and verified, before its pin is merged."""
    pin = project.put(tampered)
    project.dbt("run", "--empty")
    [function] = functions(project)
    set_vars(project, models={"tampered": pin})
    listing = operation(project, "drop_unused")
    run = operation(project, "drop_unused", drop=True)

    schema = f"{project.name}.tf_embeddings"
    young = "no pin names it; it or its function is younger than 7 days"
    for one in (listing, run):
        assert one.success, one.errors
        assert one.said == [
            f"kept: function {schema}.{function} ({young})",
            f"kept: file '@{schema}.{place(staged)}' ({young})",
            "What was kept may be staged for a pin that is not merged yet; --args '{days: 0}' "
            "includes it.",
        ]
        assert changes(one) == []


@pytest.mark.parametrize("days", [-1, "week", True])
def test_drop_unused_refuses_what_is_no_number_of_days(
    project: SnowflakeProject, days: object
) -> None:
    run = operation(project, "drop_unused", days=days)

    assert not run.success
    assert f"drop_unused: days is {days!r}; it must be a number from 0, such as 7." in run.output


def test_drop_unused_drops_functions_and_then_files(
    project: SnowflakeProject, staged: Artifact, tampered: Artifact
) -> None:
    assert operation(project, "verify").success
    project.dbt("run", "--empty")
    set_vars(project, models={"tampered": project.put(tampered)})
    project.dbt("run", "--empty")
    kept = [name for name in functions(project) if "tampered" in name]
    run = operation(project, "drop_unused", drop=True, days=0)
    again = operation(project, "drop_unused", drop=True, days=0)

    assert run.success, run.errors
    assert [one.split()[0] for one in changes(run)] == ["drop", "drop", "remove"]
    assert [line.split(": ")[0] for line in run.said] == ["dropped"] * 3
    assert [*functions(project)] == kept
    assert files(project) == [place(tampered)]
    assert again.success, again.errors
    assert again.said == [f"Nothing is unused in stage {project.name}.tf_embeddings.models."]
    assert changes(again) == []


def test_drop_unused_keeps_the_functions_and_files_of_pins(
    project: SnowflakeProject, staged: Artifact
) -> None:
    assert operation(project, "verify").success
    project.dbt("run", "--empty")
    before = functions(project), files(project)
    run = operation(project, "drop_unused", drop=True, days=0)

    assert run.success, run.errors
    assert len(before[0]) == 2
    assert (functions(project), files(project)) == before


@pytest.mark.exhaustive
def test_drop_unused_drops_a_pinned_builds_function_of_other_settings_alone(
    project: SnowflakeProject, staged: Artifact
) -> None:
    project.dbt("run", "--empty")
    [before] = functions(project)
    set_vars(project, staged, max_batch_size=64)
    project.dbt("run", "--empty")
    run = operation(project, "drop_unused", drop=True, days=0)

    assert run.success, run.errors
    assert run.said == [
        f"dropped: function {project.name}.tf_embeddings.{before} (made with other settings)"
    ]
    assert before not in functions(project)
    assert len(functions(project)) == 1
    assert files(project) == [place(staged)]


def create_sql_function(project: SnowflakeProject, signature: str, comment: str) -> str:
    """Create a function of a user's in the package's schema; return its name and arguments."""
    project.execute(
        f"create function tf_embeddings.{signature} returns object language python "
        f"runtime_version = '3.11' comment = '{comment}' "
        "artifact_repository = snowflake.snowpark.pypi_shared_repository handler = 'f' as $$\n"
        "def f(*texts):\n    return {}\n$$"
    )
    return re.sub(r"\w+ (varchar|number|boolean)", r"\1", signature)


def test_drop_unused_leaves_alone_what_the_package_did_not_make(
    project: SnowflakeProject, staged: Artifact, tampered: Artifact
) -> None:
    ours = "tf_embeddings: model m, version v0123456789ab, build b0123456789ab"
    built, arguments = f"{OTHER_BUILD}_01234567", "text varchar, tokens_only boolean"
    kept = [
        create_sql_function(project, f"tf_embeddings_a_{built}({arguments})", "a copy of mine"),
        create_sql_function(project, f"tf_embeddings_helper({arguments})", ours),
        create_sql_function(project, f"tf_embeddings_b_{built}(text varchar, k number)", ours),
        create_sql_function(project, f"my_embeddings_c_{built}({arguments})", ours),
        create_sql_function(project, f"tf_embeddings_verify_d_{built}(text number)", ours),
        create_sql_function(project, f"tf_embeddings_g_{built}(text varchar)", ours),
    ]
    gone = [
        create_sql_function(project, f"tf_embeddings_e_{built}({arguments})", ours),
        create_sql_function(project, f"tf_embeddings_verify_e_{built}()", ours),
        create_sql_function(project, f"tf_embeddings_verify_f_{built}({arguments})", ours),
    ]
    mine = [
        "a/v0123456789ab/a-b0123456789ab.zip",  # its function is not the package's
        "notes.txt",
        "old/e/v0123456789ab/e-b0123456789ab.zip",
        "e/v0123456789ab/f-b0123456789ab.zip",
        "e/v0123456789ab/e-b0123456789ab.zip.bak",
        "e/v0123456789ab/e-b0123456789ab.zip",  # REMOVE would take the one above, too
    ]
    for path in (*mine, "f/v0123456789ab/f-b0123456789ab.zip"):
        put(project, path)
    run = operation(project, "drop_unused", drop=True, days=0)

    assert run.success, run.errors
    assert sorted(functions(project)) == sorted(kept)
    assert files(project) == sorted([place(staged), *(f"models/{path}" for path in mine)])
    drops = [line for line in run.said if line.startswith("dropped: function")]
    assert len(drops) == len(gone)
    [kept] = [line for line in run.said if line.startswith("not dropped")]
    assert kept.endswith(
        "e-b0123456789ab.zip' (no pin names it; other files have names that begin with its name)"
    )


def put(project: SnowflakeProject, path: str) -> None:
    """Put a file of a user's on the stage."""
    folder, _, name = path.rpartition("/")
    project.write(f"files/{path}", "mine")
    project.execute(
        f"put 'file://{project.folder}/files/{folder}/{name}' "
        f"@tf_embeddings.models/{folder} auto_compress = false"
    )


@pytest.mark.exhaustive
def test_drop_unused_keeps_the_file_of_a_function_that_it_may_not_drop(
    project: SnowflakeProject, staged: Artifact, tampered: Artifact
) -> None:
    project.dbt("run", "--empty")
    [function] = functions(project)
    pin = project.put(tampered)
    new_role(
        project,
        f"usage on schema {project.name}.tf_embeddings",
        f"usage on function {project.name}.tf_embeddings.{function}",
        f"read, write on stage {project.name}.tf_embeddings.models",
    )
    set_vars(project, models={"tampered": pin})
    run = operation(project, "drop_unused", drop=True, days=0)

    assert not run.success
    assert [*functions(project)] == [function]
    assert place(staged) in files(project)


def test_drop_unused_drops_nothing_where_nothing_is_pinned(
    project: SnowflakeProject, staged: Artifact
) -> None:
    set_vars(project)
    run = operation(project, "drop_unused", drop=True, days=0)

    assert not run.success
    assert (
        "drop_unused: var tf_embeddings_models has no models, so everything would be dropped."
    ) in run.output
    assert files(project) == [place(staged)]


def test_drop_unused_refuses_where_another_role_manages(
    project: SnowflakeProject, staged: Artifact, tampered: Artifact
) -> None:
    set_vars(project, tampered, manage=False)
    run = operation(project, "drop_unused", drop=True, days=0)

    assert not run.success
    assert "drop_unused: var tf_embeddings_manage is false" in run.output
    assert files(project) == [place(staged)]


@pytest.mark.exhaustive
def test_the_operations_take_any_names(
    tmp_path: Path, local_snowflake: LocalSnowflake, staged: Artifact, tampered: Artifact
) -> None:
    project = make_snowflake_project(tmp_path / "project", local_snowflake, files=EMBEDDED)
    schema, stage = """My "odd" schema's""", "The Models; or 'files'"
    quoted = ['"' + name.replace('"', '""') + '"' for name in (schema, stage)]
    project.execute(f"create schema {quoted[0]}")
    project.execute(f"create stage {'.'.join(quoted)}")
    for artifact in (staged, tampered):
        path = f"@{project.name}.{'.'.join(quoted)}/{artifact.model}/{artifact.version}/"
        path = path.replace("'", "\\'")
        project.execute(f"put 'file://{artifact.path}' '{path}' auto_compress = false")
    set_vars(project, tampered, staged, schema=schema, stage=stage, default_model="tampered")
    project.dbt("run", "--empty")
    verify = operation(project, "verify", model="tiny")
    set_vars(project, staged, schema=schema, stage=stage)
    status = operation(project, "status")
    drop = operation(project, "drop_unused", drop=True, days=0)
    again = operation(project, "drop_unused", drop=True, days=0)

    assert verify.success, verify.errors
    assert status.success, status.errors
    assert [row[0] for row in table(status)] == ["tiny", "tampered", "tampered"]
    assert drop.success, drop.errors
    assert len(drop.said) == 2
    assert again.success, again.errors
    assert again.said[0].startswith("Nothing is unused")
