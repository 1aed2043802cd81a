"""The operation stage_copy: SQL gets an artifact onto the stage, and its pin is printed."""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import urllib.request
from pathlib import Path

import pytest
import yaml
from conftest import Saved
from duckdb_projects import NAME, Run, make_project
from makers import Artifact, shortened, write_artifact
from pages import commands, the_block
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from tf_embeddings_staging.warehouse import pin as pins

EMBEDDED = {
    "models/embedded.sql": "select {{ tf_embeddings.embed(\"'the quick fox'\") }} as embedding"
}
OTHER = "b0123456789ab"


@pytest.fixture(scope="module")
def artifact(tiny_with_runtime: Artifact) -> Artifact:
    """What someone else staged."""
    return tiny_with_runtime


@pytest.fixture(scope="module")
def newer(litert_tokens_model: Saved, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Another version of the same model."""
    folder = tmp_path_factory.mktemp("stage")
    return write_artifact(*shortened(litert_tokens_model, 4), folder, with_runtime=True)


@pytest.fixture
def project(tmp_path: Path, local_snowflake: LocalSnowflake) -> SnowflakeProject:
    """A project with no pin, on a database with nothing in it."""
    return make_snowflake_project(tmp_path / "project", local_snowflake, files=EMBEDDED)


class Elsewhere:
    """A stage of a different database and schema."""

    def __init__(self, server: LocalSnowflake, encryption: str = "SNOWFLAKE_SSE") -> None:
        self.server = server
        self.database = server.new_database()
        self.stage = f"@{self.database}.shared.artifacts"
        server.execute(f"create schema {self.database}.shared")
        kind = f"encryption = (type = '{encryption}')"
        server.execute(f"create stage {self.stage[1:]} {kind}")

    def put(self, path: Path, folder: str = "") -> str:
        """Put a file into a folder of the stage; return its location."""
        self.server.execute(f"put 'file://{path}' '{self.stage}/{folder}' auto_compress = false")
        return f"{self.stage}/{folder}{path.name}"


@pytest.fixture
def elsewhere(local_snowflake: LocalSnowflake) -> Elsewhere:
    return Elsewhere(local_snowflake)


def copy(project: SnowflakeProject, location: object, model: object = "tiny") -> Run:
    arguments = json.dumps({"model": model, "from": location})
    return project.dbt("run-operation", "tf_embeddings.stage_copy", "--args", arguments)


def refused(run: Run) -> str:
    """Return the one sentence of a refusal, without its beginning."""
    assert not run.success
    assert run.said == []
    _, found, said = run.output.partition("stage_copy: ")
    assert found, run.output
    return said.partition(" > in macro")[0]


def place(artifact: Artifact) -> str:
    return artifact.path.relative_to(artifact.stage).as_posix()


def staged(project: SnowflakeProject) -> dict[str, int]:
    """Return the files of the package's stage with their sizes."""
    rows = project.rows("list @tf_embeddings.models")
    return {str(name).removeprefix("models/"): int(size) for name, size, *_ in rows}


def has_schema(project: SnowflakeProject) -> bool:
    rows = project.rows(f"show schemas in database {project.name}")
    return "TF_EMBEDDINGS" in [name for _, name, *_ in rows]


def copies(run: Run) -> list[str]:
    return run.sent("copy files into")


def fault(server: LocalSnowflake, name: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/local/faults",
        data=json.dumps({"name": name}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    urllib.request.urlopen(request).close()


def cut(artifact: Artifact, folder: Path) -> Path:
    """Return a copy of an artifact's file that lacks its end."""
    folder.mkdir()
    path = folder / artifact.path.name
    path.write_bytes(artifact.path.read_bytes()[:-1000])
    return path


@pytest.mark.parametrize("folder", ["", "a folder/it's/", "laid out"])
def test_it_copies_and_prints_the_pin_that_makes_a_model_embed(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact, folder: str
) -> None:
    if folder == "laid out":  # as on a stage of this package
        elsewhere.put(artifact.path, f"tiny/{artifact.version}/")
        location = elsewhere.stage
    else:
        elsewhere.put(artifact.path, folder.replace("'", "\\'"))
        location = f"{elsewhere.stage}/{folder}"
    run = copy(project, location)

    assert run.success, run.errors
    assert staged(project) == {place(artifact): artifact.path.stat().st_size}
    stage = f"@{project.name}.tf_embeddings.models"
    first, *pin, last = run.said
    assert first == f"tiny is staged: {stage}/{place(artifact)}"
    assert last == "This is the pin of tiny: put it into dbt_project.yml (or vars.yml)."
    assert "\n".join(pin) + "\n" == pins.render("tiny", artifact.pin())
    assert project.rows("show user functions in schema tf_embeddings") == []

    project.configure(**yaml.safe_load("\n".join(pin)))
    build = project.dbt("build")
    assert build.success, build.errors
    [(embedding,)] = project.rows("select embedding from dev.embedded")
    assert len(embedding) == artifact.dimensions


def test_the_guides_command_copies(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact
) -> None:
    block = the_block("docs/guides/deployment.md", "dbt run-operation tf_embeddings.stage_copy")
    elsewhere.put(artifact.path)
    [command] = commands(block.text.replace("@analytics.public.artifacts", elsewhere.stage))
    words = shlex.split(command.replace("--target admin", "").replace("minilm", "tiny"))
    run = project.dbt(*words[1:])

    assert run.success, run.errors
    assert staged(project) == {place(artifact): artifact.path.stat().st_size}


def test_a_pin_of_the_project_needs_sql_only(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact
) -> None:
    project.pin(tiny=artifact.pin())
    elsewhere.put(artifact.path, "in/")
    run = copy(project, f"{elsewhere.stage}/in")

    assert run.success, run.errors
    assert run.said == [
        f"tiny is staged: @{project.name}.tf_embeddings.models/{place(artifact)}",
        "The project pins this build of tiny already.",
    ]
    assert run.sent("language python") == []
    assert staged(project) == {place(artifact): artifact.path.stat().st_size}
    build = project.dbt("build")
    assert build.success, build.errors


@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_second_run_copies_nothing(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact, is_pinned: bool
) -> None:
    if is_pinned:
        project.pin(tiny=artifact.pin())
    location = elsewhere.put(artifact.path)
    first, again = copy(project, location), copy(project, location)

    assert len(copies(first)) == 1
    assert again.success, again.errors
    assert copies(again) == []
    assert again.said[0].startswith("tiny is staged already: @")
    assert again.said[1:] == first.said[1:]


@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_truncated_file_is_replaced_and_its_functions_are_named(
    project: SnowflakeProject,
    elsewhere: Elsewhere,
    artifact: Artifact,
    tmp_path: Path,
    is_pinned: bool,
) -> None:
    pin = project.put(artifact)
    project.pin(tiny=pin)
    assert project.dbt("build").success
    if not is_pinned:
        project.configure(vars={})
    size, broken = artifact.path.stat().st_size, cut(artifact, tmp_path / "cut")
    target = f"@tf_embeddings.models/tiny/{artifact.version}/"
    project.execute(f"put 'file://{broken}' {target} auto_compress = false overwrite = true")
    run = copy(project, elsewhere.put(artifact.path))

    assert run.success, run.errors
    assert staged(project) == {place(artifact): size}
    [(name, *_)] = [row[1:2] for row in project.rows("show user functions in schema tf_embeddings")]
    assert run.said[1] == (
        f"The file there had {size - 1000} bytes instead of {size}. These functions run it and "
        f"work again now: {str(name).lower()}"
    )
    assert project.dbt("build").success or not is_pinned


def test_a_copy_that_breaks_is_a_sentence_and_the_next_run_ends_well(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact
) -> None:
    location = elsewhere.put(artifact.path)
    fault(project.server, "copy_files_breaks_halfway")
    said = refused(copy(project, location))

    stage = f"{project.name}.tf_embeddings.models"
    assert said.startswith(f"copying {location} to @{stage}/{place(artifact)} failed: ")
    assert said.endswith(
        "The role of target 'dev' needs READ on the source (USAGE on an external stage), and READ "
        f"and WRITE on {stage}. Then run it again."
    )
    assert staged(project)[place(artifact)] < artifact.path.stat().st_size

    run = copy(project, location)
    assert run.success, run.errors
    assert staged(project) == {place(artifact): artifact.path.stat().st_size}


def test_an_external_stage_is_a_source_and_cannot_be_the_target(
    project: SnowflakeProject, artifact: Artifact, tmp_path: Path
) -> None:
    folder = tmp_path / "bucket" / "models"
    folder.mkdir(parents=True)
    shutil.copyfile(artifact.path, folder / artifact.path.name)
    project.execute("create schema dev")
    project.execute(f"create stage dev.bare url = 'file://{folder.parent}/models'")
    project.execute(f"create stage dev.bucket url = 'file://{folder.parent}/'")
    project.execute("create schema owned")
    project.execute(f"create stage owned.models url = 'file://{folder.parent}/'")
    bare = refused(copy(project, "@dev.bare"))
    run = copy(project, "@dev.bucket")
    project.configure(vars={"tf_embeddings_schema": "owned"})
    target = refused(copy(project, "@dev.bucket"))

    assert bare.endswith(
        " is not there; the URL of an external stage must end with /. Run it again."
    )
    assert run.success, run.errors
    assert staged(project) == {place(artifact): artifact.path.stat().st_size}
    assert target == (
        f"{project.name}.owned.models is an external stage, and artifacts must be on an internal "
        "one. Name a different one in var tf_embeddings_stage."
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("source", ["SNOWFLAKE_SSE", "SNOWFLAKE_FULL"])
@pytest.mark.parametrize("target", ["SNOWFLAKE_SSE", "SNOWFLAKE_FULL"])
def test_sizes_are_compared_across_encryptions(
    project: SnowflakeProject,
    local_snowflake: LocalSnowflake,
    artifact: Artifact,
    source: str,
    target: str,
) -> None:
    project.configure(vars={"tf_embeddings_stage_encryption": target})
    location = Elsewhere(local_snowflake, source).put(artifact.path)
    first, again = copy(project, location), copy(project, location)

    assert first.success, first.errors
    assert again.success, again.errors
    assert copies(again) == []
    assert f"      bytes: {artifact.path.stat().st_size}" in first.said


def test_a_file_of_a_new_build_is_copied_beside_the_pinned_one(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact, newer: Artifact
) -> None:
    project.pin(tiny=project.put(artifact))
    location = elsewhere.put(newer.path)
    said = refused(copy(project, elsewhere.stage))
    run = copy(project, location)

    assert said == (
        f"the project pins build {artifact.build} of model 'tiny', and {elsewhere.stage}/ has: "
        f"{location}. Put the pinned build there, or name the file of the new one in from, to copy "
        "it and get its pin."
    )
    assert run.success, run.errors
    assert "\n".join(run.said[1:-1]) + "\n" == pins.render("tiny", newer.pin())
    assert set(staged(project)) == {place(artifact), place(newer)}


def test_the_pin_chooses_among_builds_and_without_it_they_are_named(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact, newer: Artifact
) -> None:
    locations = sorted(elsewhere.put(one.path, "in/") for one in (artifact, newer))
    said = refused(copy(project, elsewhere.stage))
    had_schema = has_schema(project)
    project.pin(tiny=newer.pin())
    run = copy(project, elsewhere.stage)

    assert said == (
        f"{elsewhere.stage}/ has several artifacts of model 'tiny': {', '.join(locations)}. Name "
        "one of them in from."
    )
    assert not had_schema
    assert run.success, run.errors
    assert set(staged(project)) == {place(newer)}


def test_a_pin_of_0_1_gets_its_size_and_keeps_its_packages(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact
) -> None:
    old = {key: value for key, value in artifact.pin().items() if key != "bytes"}
    old["packages"] = ["ai-edge-litert==2.3.0", "numpy", "tokenizers"]
    project.pin(tiny=old)
    run = copy(project, elsewhere.put(artifact.path))
    project.pin(tiny={**old, "version": "v0123456789ab"})
    wrong = refused(copy(project, elsewhere.stage))

    assert run.success, run.errors
    pin = {**artifact.pin(), "packages": old["packages"]}
    assert "\n".join(run.said[1:-1]) + "\n" == pins.render("tiny", pin)
    assert f"is version {artifact.version}, and the project pins version v0123456789ab" in wrong


LOCATION = (
    "; it must be a folder or an artifact on a named stage or a git repository, such as "
    "'@other_db.public.artifacts/models/', without backslashes, $$ and line breaks."
)


REFUSED = [
    ("tiny", "artifacts/tiny.zip", f"from is 'artifacts/tiny.zip'{LOCATION}"),
    ("tiny", "@~/models/", f"from is '@~/models/'{LOCATION}"),
    ("tiny", "@%a_table/", f"from is '@%a_table/'{LOCATION}"),
    ("tiny", "@a.b.c.d/", f"from is '@a.b.c.d/'{LOCATION}"),
    ("tiny", "@a; drop stage a", f"from is '@a; drop stage a'{LOCATION}"),
    ("tiny", "@a/$$/", f"from is '@a/$$/'{LOCATION}"),
    ("tiny", None, f"from is None{LOCATION}"),
    (
        "Tiny",
        "@a",
        "model is 'Tiny'; it must be the name of a model, which its artifact's file name "
        "begins with: minilm of minilm-b0123456789ab.zip.",
    ),
    (
        "tiny",
        "@a/tiny.zip",
        "from names the file tiny.zip, which is not an artifact of model 'tiny'; its name must be "
        "tiny-b and 12 hex digits and .zip, as staging gave it.",
    ),
]


def test_what_is_no_place_of_an_artifact_is_refused(project: SnowflakeProject) -> None:
    project.execute("create schema dev")
    project.execute("create stage dev.a")
    for model, location, says in REFUSED:
        assert refused(copy(project, location, model)) == says
    assert not has_schema(project)


def test_what_is_not_there_is_refused(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact, tmp_path: Path
) -> None:
    stage = elsewhere.stage
    empty = refused(copy(project, f"{stage}/"))
    renamed = tmp_path / "model.zip"
    shutil.copyfile(artifact.path, renamed)
    elsewhere.put(renamed)
    other = refused(copy(project, f"{stage}/"))
    missing = refused(copy(project, f"@{elsewhere.database}.shared.nothing/"))
    elsewhere.server.execute(f"put 'file://{artifact.path}' {stage}/gz/ source_compression = none")
    compressed = refused(copy(project, f"{stage}/gz/{artifact.path.name}"))

    name = "Its file must be named as staging named it, tiny-b….zip, and not be compressed."
    assert empty == f"{stage}/ has no artifact of model 'tiny' (it has: nothing). {name}"
    assert other == f"{stage}/ has no artifact of model 'tiny' (it has: model.zip). {name}"
    assert f"'tiny' (it has: {artifact.path.name}.gz). {name}" in compressed
    assert missing == (
        f"@{elsewhere.database}.shared.nothing/ cannot be listed: SQL compilation error: Stage "
        f"'{elsewhere.database.upper()}.SHARED.NOTHING' does not exist or not authorized. Let its "
        "owner grant USAGE on its database and schema, and READ on the stage or git repository "
        "(USAGE on an external stage), to the role of target 'dev'."
    )
    assert not has_schema(project)


@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_truncated_source_is_refused_and_stages_nothing(
    project: SnowflakeProject,
    elsewhere: Elsewhere,
    artifact: Artifact,
    tmp_path: Path,
    is_pinned: bool,
) -> None:
    if is_pinned:
        project.pin(tiny=artifact.pin())
    location = elsewhere.put(cut(artifact, tmp_path / "cut"))
    said = refused(copy(project, location))

    size = artifact.path.stat().st_size
    why = (
        f"has {size - 1000} bytes instead of {size}, so it is not complete"
        if is_pinned
        else "is not a complete artifact (BadZipFile: File is not a zip file)"
    )
    assert said == f"{location} {why}. Put it there again, uncompressed."
    if is_pinned:
        assert not has_schema(project)
    else:  # a function reads the file, and needs the schema
        assert staged(project) == {}
        assert project.rows("show user functions in schema tf_embeddings") == []


def test_a_file_with_the_name_of_a_different_build_is_refused(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact, tmp_path: Path
) -> None:
    renamed = tmp_path / f"tiny-{OTHER}.zip"
    shutil.copyfile(artifact.path, renamed)
    location = elsewhere.put(renamed)

    assert refused(copy(project, location)) == (
        f"{location} is build {artifact.build} of model 'tiny', not what its name says. Give it "
        f"the name tiny-{artifact.build}.zip."
    )
    assert staged(project) == {}


def test_a_role_needs_what_is_documented_and_no_more(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact
) -> None:
    role = f"role_{secrets.token_hex(4)}"
    stage, own = elsewhere.stage[1:], f"{project.name}.tf_embeddings"
    location = elsewhere.put(artifact.path)
    project.execute(f"create role {role}")
    project.execute(f"grant role {role} to user tester")
    target = project.server.profile(database=project.name, role=role)
    project.write_yaml("profiles.yml", {NAME: {"target": "dev", "outputs": {"dev": target}}})

    def grant(*privileges: str) -> None:
        for privilege in privileges:
            project.execute(f"grant {privilege} to role {role}")

    grant(f"usage on database {project.name}")
    hidden = refused(copy(project, location))
    grant(f"usage on database {elsewhere.database}", f"usage on schema {elsewhere.database}.shared")
    unread = refused(copy(project, location))
    grant(f"read on stage {stage}")
    uncreated = refused(copy(project, location))
    project.execute(f"create schema {own}")
    project.execute(f"create stage {own}.models encryption = (type = 'SNOWFLAKE_SSE')")
    grant(f"usage on schema {own}", f"read on stage {own}.models")
    project.pin(tiny=artifact.pin())
    unwritten = refused(copy(project, location))
    grant(f"write on stage {own}.models")
    pinned = copy(project, location)
    project.configure(vars={})
    without_function = copy(project, location)
    grant(f"create function on schema {own}")
    printed = copy(project, location)

    for said in (hidden, unread):
        assert said.startswith(f"{location} cannot be listed: SQL compilation error: ")
        assert "does not exist or not authorized. Let its owner grant USAGE on " in said
    assert uncreated.startswith(f"create schema if not exists {own} failed: SQL access control")
    assert uncreated.endswith(
        "Let its owner grant CREATE SCHEMA on the database, or CREATE STAGE on the schema, to role "
        f"{role}, or set var tf_embeddings_manage to the target of the role that owns them."
    )
    assert "Insufficient privileges to operate on stage 'MODELS'. The role of" in unwritten
    assert pinned.success, pinned.errors
    assert not without_function.success
    assert "Insufficient privileges to operate on schema 'TF_EMBEDDINGS'" in without_function.output
    assert printed.success, printed.errors
    assert staged(project) == {place(artifact): artifact.path.stat().st_size}


def test_who_does_not_manage_gets_the_statements_for_the_owner(
    project: SnowflakeProject, elsewhere: Elsewhere, artifact: Artifact
) -> None:
    project.configure(vars={"tf_embeddings_manage": ["admin"]})
    said = refused(copy(project, elsewhere.put(artifact.path)))

    own = f"{project.name}.tf_embeddings"
    assert said.startswith(
        f"the role of target 'dev' sees no stage {own}.models, and var tf_embeddings_manage is "
        "admin, so it is not created here. Run this with --target admin, or let a role that may "
        f"create it run: create schema if not exists {own} "
    )
    assert said.endswith(f"grant read, write on stage {own}.models to role accountadmin;")
    assert not has_schema(project)


def test_on_duckdb_a_sentence_says_what_to_do_instead(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    run = project.dbt(
        "run-operation", "tf_embeddings.stage_copy", "--args", "{model: tiny, from: '@a/b/'}"
    )

    assert not run.success
    assert (
        "stage_copy: target 'dev' is duckdb, and only Snowflake has stages to copy from. Stage the "
        "artifact's file itself: dbt_packages/tf_embeddings/scripts/stage_model.py tiny-b….zip "
        "--target dev"
    ) in run.output
