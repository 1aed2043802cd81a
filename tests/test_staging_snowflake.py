"""stage_model.py against Snowflake: what it checks, what it sends, and what it leaves behind."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bert_folder
import encoder_makers
import makers
import pytest
import yaml
from duckdb_projects import make_project
from rich.console import Console
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project, serve
from staging_cli import SCRIPT, Done, run_script, stage_model
from tf_embeddings_staging.building.artifact import Artifact
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.redaction import without_secrets
from tf_embeddings_staging.sources import Local
from tf_embeddings_staging.warehouse import dbt_process
from tf_embeddings_staging.warehouse.upload_progress import Upload

ANACONDA = "snowflake.snowpark.anaconda_shared_repository"
PYPI = "snowflake.snowpark.pypi_shared_repository"
UNKNOWN = "resolve_python_packages_unknown"


@dataclass(frozen=True)
class Source:
    """A SavedModel, and its artifact in a cache: a run of the CLI builds nothing."""

    folder: Path
    cache: Path
    artifact: Artifact

    @property
    def path(self) -> str:
        """Where it belongs on a stage."""
        return self.artifact.place.as_posix()

    @property
    def size(self) -> int:
        return self.artifact.path.stat().st_size


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source") / "model"
    cache = tmp_path_factory.mktemp("cache")
    makers.save_text_model(folder)
    return Source(folder, cache, build(Local(folder), "strings", cache, Report()))


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """An encoder's folder, which runs on LiteRT."""
    folder = bert_folder.make_folder(tmp_path_factory.mktemp("light") / "encoder").path
    cache = tmp_path_factory.mktemp("light_cache")
    return Source(folder, cache, build(Local(folder), "strings", cache, Report()))


@pytest.fixture
def project(tmp_path: Path, local_snowflake: LocalSnowflake) -> SnowflakeProject:
    return make_snowflake_project(tmp_path / "project", local_snowflake)


@pytest.fixture
def own_snowflake() -> Iterator[LocalSnowflake]:
    """A server of the test's own: what it breaks stays broken."""
    with serve() as server:
        yield server


def stage(
    project: SnowflakeProject,
    source: Source,
    *arguments: str,
    by: Callable[..., Done] = stage_model,
    **environment: str,
) -> Done:
    cache = {"TF_EMBEDDINGS_CACHE": str(source.cache)}
    named = [source.folder, "--name", "strings", *arguments]
    return by(project, *named, **{**cache, **environment})


def start(project: SnowflakeProject, source: Source) -> subprocess.Popen[str]:
    """Start the CLI as the leader of a group, so that it can be killed with its children."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, str(source.folder), "--name", "strings"],
        cwd=project.folder,
        env={**os.environ, "TF_EMBEDDINGS_CACHE": str(source.cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def sentence(done: Done) -> str:
    """What the CLI said last."""
    assert done.returncode == 1, done.stderr
    _, found, said = done.stderr.partition("stage_model: ")
    assert found, done.stderr
    return said.removesuffix("\n")


def files(project: SnowflakeProject, stage: str = "tf_embeddings.models") -> dict[str, int]:
    """What is on the stage: path -> bytes."""
    rows = project.rows(f"list @{stage}")
    return {str(row[0]).partition("/")[2]: int(row[1]) for row in rows}


def schemas(project: SnowflakeProject) -> list[str]:
    return [str(row[1]) for row in project.rows(f"show schemas in database {project.name}")]


def call(server: LocalSnowflake, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
    """Call what the server has for tests."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/local/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or "null")


def uploads(server: LocalSnowflake) -> int:
    """How many files the server has been sent."""
    return len(call(server, "GET", "counters")["puts"])


def set_vars(project: SnowflakeProject, **variables: object) -> None:
    project.configure(vars={f"tf_embeddings_{name}": value for name, value in variables.items()})


def new_role(project: SnowflakeProject, *grants: str) -> str:
    """Create a role that has these grants, and let the project's target use it."""
    role = f"stager_{secrets.token_hex(4)}"
    project.execute(f"create role {role}")
    project.execute(f"grant role {role} to user tester")
    for grant in grants:
        project.execute(f"grant {grant} to role {role}")
    use(project, role=role)
    return role


def use(project: SnowflakeProject, **keys: object) -> None:
    """Change keys of the project's target."""
    profiles = yaml.safe_load((project.folder / "profiles.yml").read_text())
    profiles["a_project"]["outputs"]["dev"].update(keys)
    project.write_yaml("profiles.yml", profiles)


def test_a_dry_run_then_a_run_then_the_same_again(
    project: SnowflakeProject, source: Source
) -> None:
    place = f"@{project.name}.tf_embeddings.models/{source.path}"
    before = uploads(project.server)

    dry = stage(project, source, "--dry-run", "--write")
    assert dry.returncode == 0, dry.stderr
    assert f"Dry run: strings would be put to {place}\n" in dry.stderr
    assert "TF_EMBEDDINGS" not in schemas(project)
    assert uploads(project.server) == before

    first = stage(project, source, "--write")
    assert first.returncode == 0, first.stderr
    assert f"Uploading {source.size / 1e6:.1f} MB to the stage ...\n" in first.stderr
    assert f"strings is staged: {place}\n" in first.stderr
    assert files(project) == {source.path: source.size}
    assert uploads(project.server) == before + 1
    pins = yaml.safe_load((project.folder / "dbt_project.yml").read_text())["vars"]
    assert pins == yaml.safe_load(first.stdout)["vars"]
    assert pins["tf_embeddings_models"]["strings"] == source.artifact.pin()

    second = stage(project, source, "--write")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert f"strings is staged already: {place}\n" in second.stderr
    assert "Uploading" not in second.stderr
    assert uploads(project.server) == before + 1

    dry_again = stage(project, source, "--dry-run")
    assert f"strings is staged already: {place}\n" in dry_again.stderr


def test_the_hook_finds_schema_and_stage_as_it_would_make_them(
    project: SnowflakeProject, source: Source
) -> None:
    assert stage(project, source).returncode == 0
    (row,) = project.rows("show stages in schema tf_embeddings")
    assert "INTERNAL NO CSE" in row
    assert "tf_embeddings: artifacts of embedding models" in row


@pytest.mark.exhaustive
def test_client_side_encryption_makes_the_file_longer(
    project: SnowflakeProject, source: Source
) -> None:
    set_vars(project, stage_encryption="SNOWFLAKE_FULL")
    first = stage(project, source)
    assert first.returncode == 0, first.stderr
    assert files(project) == {source.path: source.size // 16 * 16 + 16}
    sent = uploads(project.server)
    assert "is staged already" in stage(project, source).stderr
    assert uploads(project.server) == sent


def put_by_hand(project: SnowflakeProject, source: Source, content: bytes, folder: Path) -> None:
    """Put other bytes where the artifact belongs."""
    project.execute("create schema if not exists tf_embeddings")
    project.execute(
        "create stage if not exists tf_embeddings.models encryption = (type = 'SNOWFLAKE_SSE')"
    )
    file = folder / source.artifact.path.name
    file.write_bytes(content)
    place = f"@{project.name}.tf_embeddings.models/{Path(source.path).parent}/"
    project.execute(f"put 'file://{file}' '{place}' auto_compress = false")


def test_a_file_of_another_size_is_replaced(
    project: SnowflakeProject, source: Source, tmp_path: Path
) -> None:
    put_by_hand(project, source, b"half", tmp_path)
    assert files(project) == {source.path: 4}
    done = stage(project, source)
    assert done.returncode == 0, done.stderr
    assert "strings is staged: @" in done.stderr
    assert files(project) == {source.path: source.size}


def test_a_truncated_file_is_put_anew_and_all_the_functions_that_it_broke_are_named(
    project: SnowflakeProject, light: Source, tmp_path: Path
) -> None:
    """One command: what it breaks, and what works again, whatever settings it was made with."""
    source = light
    set_vars(project, artifact_repository=PYPI)
    assert stage(project, source, "--write", "--verify").returncode == 0
    project.write("models/a.sql", "select {{ tf_embeddings.embed(\"'hello'\") }} as embedding")
    assert project.dbt("run", "--empty").success
    project.execute(f"remove @tf_embeddings.models/{source.path}")
    put_by_hand(project, source, b"half", tmp_path)
    broken = sorted(
        str(row[1]).lower() for row in project.rows("show user functions in schema tf_embeddings")
    )

    dry = stage(project, source, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    told = f"The file there {{}} 4 bytes instead of {source.size}. These functions run it "
    names = ", ".join(broken)
    assert len(broken) == 2
    assert f"{told.format('has')}and work again after the next upload: {names}\n" in dry.stderr
    assert files(project) == {source.path: 4}

    done = stage(project, source)
    assert done.returncode == 0, done.stderr
    assert f"{told.format('had')}and work again now: {names}\n" in done.stderr
    assert files(project) == {source.path: source.size}
    run = project.dbt("run")
    assert run.success, run.output


@pytest.mark.exhaustive
def test_a_stage_keeps_its_encryption_and_the_user_is_told(
    project: SnowflakeProject, source: Source
) -> None:
    assert stage(project, source).returncode == 0
    for encryption, says in (("SNOWFLAKE_FULL", True), ("SNOWFLAKE_SSE", False)):
        set_vars(project, stage_encryption=encryption)
        done = stage(project, source)
        assert done.returncode == 0, done.stderr
        assert "is staged already" in done.stderr
        assert says is (
            f"Warning: Stage {project.name}.tf_embeddings.models is encrypted with SNOWFLAKE_SSE, "
            "and var tf_embeddings_stage_encryption is SNOWFLAKE_FULL: a stage keeps the "
            "encryption that it was created with." in done.stderr
        )


def test_an_upload_that_breaks_is_a_sentence_and_the_next_run_ends_well(
    project: SnowflakeProject, source: Source
) -> None:
    call(project.server, "POST", "faults", {"name": "put_breaks_halfway"})
    said = sentence(stage(project, source))
    assert said.startswith(
        f"Putting the artifact on stage {project.name}.tf_embeddings.models failed: "
    )
    assert "\n" not in said
    assert files(project)[source.path] < source.size
    assert "/local/upload/" not in (project.folder / "logs/dbt.log").read_text()

    done = stage(project, source)
    assert done.returncode == 0, done.stderr
    assert files(project) == {source.path: source.size}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """One whose upload takes long enough to be killed in the middle."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("large") / "model"
    cache = tmp_path_factory.mktemp("large_cache")
    makers.save_text_model(folder, ballast=tf.Variable(tf.random.uniform([24 * 2**20])))
    return Source(folder, cache, build(Local(folder), "strings", cache, Report()))


# The upload comes before what leads to it: a child that goes on may end it.
EVERY_MOMENT = ("Asking dbt", "Uploading", "strings: built", "Looking at the stage")


@pytest.mark.parametrize(
    ("children", "moments"),
    [
        pytest.param("killed too", ("Uploading",), id="uploading"),
        pytest.param("killed too", EVERY_MOMENT, marks=pytest.mark.exhaustive),
        pytest.param("goes on", EVERY_MOMENT, marks=pytest.mark.exhaustive),
    ],
)
def test_killed_at_any_moment_the_next_run_ends_well(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    large: Source,
    children: str,
    moments: tuple[str, ...],
) -> None:
    received = tmp_path / "received"
    received.mkdir()
    monkeypatch.setenv("TMPDIR", str(received))  # where the server keeps what it is sent
    with serve() as server:
        project = make_snowflake_project(tmp_path / "project", server)
        for moment in moments:
            process = start(project, large)
            assert process.stderr
            assert any(line.startswith(moment) for line in process.stderr), moment
            if moment == "Uploading":
                wait_for_bytes(process, received)
            if children == "killed too":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.communicate()  # until the last of them that writes has ended
        if children == "killed too":
            assert uploads(server) == 0
            assert files(project) == {}

        done = stage(project, large, "--verify")
        assert done.returncode == 0, done.stderr
        assert "strings is verified.\n" in done.stderr
        assert files(project) == {large.path: large.size}


def wait_for_bytes(process: subprocess.Popen[str], received: Path) -> None:
    """Wait until a part of an upload has arrived on the server's disk."""
    while not any(part.stat().st_size for part in received.glob("local_snowflake_*/*/.sent")):
        assert process.poll() is None, "the upload ended before any of it was seen"


@pytest.mark.exhaustive
def test_two_at_once_end_well(project: SnowflakeProject, source: Source) -> None:
    runs = [start(project, source) for _ in range(2)]
    outputs = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert files(project) == {source.path: source.size}


def test_a_role_without_the_database(project: SnowflakeProject, source: Source) -> None:
    role = new_role(project)
    assert sentence(stage(project, source)) == (
        f"Looking into database {project.name} failed: Database '{project.name.upper()}' "
        f"does not exist or not authorized. Name a different one in var tf_embeddings_database, or "
        f"let its owner run: grant usage on database {project.name} to role {role.upper()}"
    )


def test_each_missing_grant_is_named_and_the_last_one_is_enough(
    project: SnowflakeProject, source: Source
) -> None:
    """Follow the sentences, one after the other, as a user would."""
    role = new_role(project, f"usage on database {project.name}").upper()
    schema = f"{project.name}.tf_embeddings"

    said = sentence(stage(project, source))
    assert said == (
        f"Creating schema {schema} failed: Insufficient privileges to operate on database "
        f"'{project.name.upper()}'. Let its owner run: grant usage, create schema on database "
        f"{project.name} to role {role}"
    )

    project.execute(f"create schema {schema}")
    project.execute(f"grant usage on schema {schema} to role {role}")
    said = sentence(stage(project, source))
    assert said.startswith(f"Creating stage {schema}.models failed: Insufficient privileges")
    assert said.endswith(
        f"If a different role owns the schema and creates the functions, set var "
        f"tf_embeddings_manage to false. Else let the database's owner run: grant create schema on "
        f"database {project.name} to role {role}. Let the schema's owner run: grant usage, create "
        f"stage, create function on schema {schema} to role {role}"
    )

    project.execute(f"create stage {schema}.models encryption = (type = 'SNOWFLAKE_SSE')")
    project.execute(f"grant read on stage {schema}.models to role {role}")
    said = sentence(stage(project, source))
    assert said.startswith(f"Putting the artifact on stage {schema}.models failed: ")
    grant = f"grant read, write on stage {schema}.models to role {role}"
    assert said.endswith(f"Let its owner run: {grant}")

    project.execute(grant)
    assert stage(project, source).returncode == 0
    assert files(project) == {source.path: source.size}


@pytest.mark.exhaustive
def test_a_stage_that_others_manage_is_not_created(
    project: SnowflakeProject, source: Source
) -> None:
    role = new_role(project, f"usage on database {project.name}").upper()
    set_vars(project, manage=False)
    said = sentence(stage(project, source))
    stage_name = f"{project.name}.tf_embeddings.models"
    assert said.startswith(
        f"role {role} sees no stage {stage_name}, and var tf_embeddings_manage is false, so it is "
        f"not created here. Let a role that may create it run:\ncreate schema if not exists "
    )

    set_vars(project, manage=["admin"])
    by_target = sentence(stage(project, source))
    assert (
        "and var tf_embeddings_manage is admin, so it is not created here. Run this with --target "
        "admin, or let a role that may create it run:\n"
    ) in by_target

    for statement in said.splitlines()[1:]:
        project.execute(statement.removesuffix(";"))
    done = stage(project, source)
    assert done.returncode == 0, done.stderr
    assert files(project) == {source.path: source.size}


@pytest.mark.parametrize(("repository", "other"), [(PYPI, ANACONDA), (ANACONDA, PYPI)])
def test_a_role_that_may_not_use_the_repository(
    tmp_path: Path, own_snowflake: LocalSnowflake, source: Source, repository: str, other: str
) -> None:
    """Certain only where the account resolves packages, and if the role creates the function."""
    project = make_snowflake_project(tmp_path / "project", own_snowflake)
    user = f"SNOWFLAKE.{'PYPI' if repository == PYPI else 'ANACONDA'}_REPOSITORY_USER"
    project.execute(f"revoke database role {user} from role public")
    role = new_role(
        project,
        f"usage on database {project.name}",
        f"create schema on database {project.name}",
    )
    grant = f"grant database role {user} to role {role.upper()}"
    warning = (
        f"Warning: role {role.upper()} may be unable to use {repository}, where the function's "
        f"Python packages come from. If the function cannot be created, let ACCOUNTADMIN run: "
        f"{grant}; or set var tf_embeddings_artifact_repository to a different one, such as "
        f"{other}.\n"
    )
    set_vars(project, artifact_repository=repository)
    assert sentence(stage(project, source)) == (
        f"role {role.upper()} may not use {repository}, where the function's Python packages come "
        f"from. Let ACCOUNTADMIN run: {grant}; or set var tf_embeddings_artifact_repository to a "
        "different one."
    )
    assert schemas(project) == schemas(make_snowflake_project(tmp_path / "none", own_snowflake))

    call(own_snowflake, "POST", "faults", {"name": UNKNOWN, "times": None})
    done = stage(project, source, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(warning) == 1
    call(own_snowflake, "DELETE", "faults")

    project.execute(f"create schema {project.name}.tf_embeddings")
    project.execute(f"create stage {project.name}.tf_embeddings.models")
    project.execute(f"grant usage on schema {project.name}.tf_embeddings to role {role}")
    project.execute(f"grant read on stage {project.name}.tf_embeddings.models to role {role}")
    set_vars(project, artifact_repository=repository, manage=False)
    done = stage(project, source, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(warning) == 1

    project.execute(grant)
    set_vars(project, artifact_repository=repository)
    done = stage(project, source, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Warning: role" not in done.stderr


def test_an_account_that_does_not_resolve_packages_is_no_error(
    tmp_path: Path, own_snowflake: LocalSnowflake, source: Source
) -> None:
    project = make_snowflake_project(tmp_path / "project", own_snowflake)
    call(own_snowflake, "POST", "faults", {"name": UNKNOWN, "times": None})
    done = stage(project, source)
    assert done.returncode == 0, done.stderr
    assert f"Warning: whether {PYPI} has numpy==" in done.stderr
    assert (
        " for Python 3.11 is not known, because Snowflake says: SQL compilation error: Unknown "
        "function SYSTEM$RESOLVE_PYTHON_PACKAGES\n"
    ) in done.stderr
    assert files(project) == {source.path: source.size}


def test_a_repository_of_the_account_that_the_role_may_not_use(
    project: SnowflakeProject, source: Source
) -> None:
    set_vars(project, artifact_repository="tools.python.our_packages")
    assert sentence(stage(project, source)) == (
        "role ACCOUNTADMIN may not use tools.python.our_packages, where the function's Python "
        "packages come from. Let its owner grant usage on its database and schema, and run: grant "
        "usage on artifact repository tools.python.our_packages to role ACCOUNTADMIN; or set var "
        "tf_embeddings_artifact_repository to a different one."
    )


@pytest.mark.exhaustive
def test_a_programmatic_access_token_logs_in(project: SnowflakeProject, source: Source) -> None:
    """In both ways of the README."""
    use(project, authenticator="programmatic_access_token", token="a-token", password=None)
    assert stage(project, source, "--dry-run").returncode == 0
    use(project, authenticator=None, token=None, password="a-token")
    assert stage(project, source, "--dry-run").returncode == 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("manage", [True, False])
def test_terms_that_are_not_accepted(
    tmp_path: Path, own_snowflake: LocalSnowflake, source: Source, manage: bool
) -> None:
    project = make_snowflake_project(tmp_path / "project", own_snowflake)
    set_vars(project, artifact_repository=ANACONDA, manage=manage)
    call(own_snowflake, "POST", "faults", {"name": "anaconda_terms_missing", "times": None})
    assert sentence(stage(project, source)) == (
        "this account has not accepted the terms of Anaconda, whose packages the function would "
        "use. Let ORGADMIN accept them in Snowsight (Admin, Terms), or set var "
        "tf_embeddings_artifact_repository to snowflake.snowpark.pypi_shared_repository."
    )


@pytest.mark.parametrize("repository", [PYPI, pytest.param(ANACONDA, marks=pytest.mark.exhaustive)])
def test_a_version_that_a_repository_lacks_can_be_pinned_to_another(
    project: SnowflakeProject, source: Source, repository: str
) -> None:
    pinned = {**source.artifact.pin(), "packages": ["numpy", "tensorflow==9.9.9"]}
    set_vars(project, artifact_repository=repository, models={"strings": pinned})
    said = sentence(stage(project, source))
    assert said.startswith(f"{repository} does not resolve the packages numpy==")
    assert (
        ", tensorflow==9.9.9 for Python 3.11. Pin other versions under packages in "
        "its pin, or set var tf_embeddings_runtime_version or "
        "tf_embeddings_artifact_repository. If the account has a packages policy (select * from "
        f"{project.name}.information_schema.current_packages_policy), it must allow them, all that "
        "they need, and python. Snowflake says: SQL compilation error: Cannot create a Python "
        "function with the specified packages."
    ) in said
    assert "tf_embeddings" not in [name.lower() for name in schemas(project)]

    versions = {PYPI: ("numpy", "tensorflow"), ANACONDA: ("numpy==1.26.4", "tensorflow==2.17.0")}
    pinned["packages"] = [*versions[repository]]
    set_vars(project, artifact_repository=repository, models={"strings": pinned})
    done = stage(project, source, "--write")
    assert done.returncode == 0, done.stderr
    written = yaml.safe_load((project.folder / "dbt_project.yml").read_text())["vars"]
    assert written["tf_embeddings_models"]["strings"] == pinned


def test_a_package_that_is_not_there_at_all(
    tmp_path: Path, own_snowflake: LocalSnowflake, light: Source
) -> None:
    """Which engine runs a model is known when it is built: its packages are resolved then."""
    project = make_snowflake_project(tmp_path / "project", own_snowflake)
    call(own_snowflake, "POST", "faults", {"name": "package_missing:tqdm", "times": None})
    done = stage(project, light)
    assert sentence(done).startswith(f"{PYPI} does not resolve the packages ai-edge-litert==")
    assert sentence(done).endswith("Package 'tqdm' is not supported.")
    assert "built before" in done.stderr
    assert "tf_embeddings" not in [name.lower() for name in schemas(project)]


@pytest.mark.exhaustive
def test_names_with_spaces_quotes_and_mixed_case(project: SnowflakeProject, source: Source) -> None:
    set_vars(project, schema="My 'own' schema", stage='The "models", staged')
    first = stage(project, source)
    assert first.returncode == 0, first.stderr
    stage_name = f'{project.name}."My \'own\' schema"."The ""models"", staged"'
    assert f"strings is staged: @{stage_name}/{source.path}\n" in first.stderr
    (row,) = project.rows("show stages in schema \"My 'own' schema\"")
    assert 'The "models", staged' in row
    sent = uploads(project.server)
    assert "is staged already" in stage(project, source).stderr
    assert uploads(project.server) == sent


@pytest.mark.exhaustive
def test_a_cache_whose_path_means_something_to_put(
    project: SnowflakeProject, source: Source, tmp_path: Path
) -> None:
    cache = tmp_path / "it's [my] *cache*; $$"
    cache.symlink_to(source.cache)
    done = stage(project, source, TF_EMBEDDINGS_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    assert "built before" in done.stderr
    assert files(project) == {source.path: source.size}


def test_verify_embeds_in_the_warehouse(project: SnowflakeProject, source: Source) -> None:
    done = stage(project, source, "--verify", "--write")
    assert done.returncode == 0, done.stderr
    build = source.artifact.build
    assert f"strings {source.artifact.version} {build}: " in done.stderr
    assert "largest difference " in done.stderr
    assert "strings is verified.\n" in done.stderr


@pytest.mark.exhaustive
def test_an_artifact_that_was_made_before_is_put_and_verified(
    project: SnowflakeProject, source: Source, tmp_path: Path
) -> None:
    """Promotion: the same bytes for another account, from a machine that builds nothing."""
    file = tmp_path / source.artifact.path.name
    file.write_bytes(source.artifact.path.read_bytes())
    empty = {"TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")}
    done = stage_model(project, file, "--verify", "--write", **empty)
    assert done.returncode == 0, done.stderr
    assert "strings is verified.\n" in done.stderr
    assert files(project) == {source.path: source.size}
    pins = yaml.safe_load((project.folder / "dbt_project.yml").read_text())["vars"]
    assert pins["tf_embeddings_models"] == {"strings": source.artifact.pin()}
    assert list((tmp_path / "cache").rglob("*.zip")) == []


def test_verify_and_dry_run_exclude_each_other(project: SnowflakeProject, source: Source) -> None:
    done = stage(project, source, "--verify", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "stage_model: --verify needs the model on the stage, but --dry-run puts nothing. Leave "
        "one out.\n"
    )


@pytest.mark.exhaustive
def test_a_model_too_large_for_a_standard_warehouse_comes_with_a_warning(
    project: SnowflakeProject, source: Source, tmp_path: Path
) -> None:
    taken = source.artifact.memory_bytes
    assert taken
    assert 2e8 < taken < 2**31
    assert "Warning" not in stage(project, source, "--dry-run").stderr

    parameters = makers.save_text_model(tmp_path / "large")
    measured = {"memory_bytes": 3 * 2**30, "measured_with": {"tensorflow": "2.21.0"}}
    golden = {"texts": ["fox"], "vectors": [[3, 1, 0]], "token_counts": [None], **measured}
    large = makers.write_artifact(
        tmp_path / "large",
        parameters,
        tmp_path,
        model="large",
        golden=golden,
        normalize=False,
        with_runtime=True,
    )
    assert (
        "Warning: a process that embeds a full batch takes 3.00 GiB of memory (measured where "
        "large was built, with tensorflow 2.21.0 on one thread), and a node runs several "
        "processes. A standard warehouse has about 16 GB a node, whatever its size. Use a "
        "Snowpark-optimized warehouse.\n"
    ) in stage_model(project, large.path, "--dry-run").stderr


NOT_KNOWN = "the target's package repository is not known to have ai-edge-litert."


def test_a_model_on_litert_is_put_and_verified(project: SnowflakeProject, light: Source) -> None:
    set_vars(project, artifact_repository=PYPI)
    done = stage(project, light, "--verify", "--write")
    assert done.returncode == 0, done.stderr
    assert "packages: [ai-edge-litert, numpy, tokenizers]\n" in done.stdout
    assert "strings is verified.\n" in done.stderr


@pytest.mark.exhaustive
def test_for_anacondas_repository_a_model_stays_on_tensorflow(
    project: SnowflakeProject, light: Source
) -> None:
    set_vars(project, artifact_repository=ANACONDA)
    done = stage(project, light, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"Engine: TensorFlow, because {NOT_KNOWN}\n" in done.stderr
    assert "Converting to LiteRT" not in done.stderr
    assert f"version: {light.artifact.version}\n" in done.stdout
    assert "packages: [numpy, tensorflow, tokenizers]\n" in done.stdout


def test_litert_is_refused_for_anacondas_repository(
    project: SnowflakeProject, light: Source, source: Source
) -> None:
    set_vars(project, artifact_repository=ANACONDA)
    known = (
        f"the model needs the Python package ai-edge-litert, which {ANACONDA} is not known to "
        f"have. Set var tf_embeddings_artifact_repository to {PYPI}, or stage the model again with "
        "--engine tensorflow."
    )
    assert sentence(stage(project, light, "--engine", "litert")) == known
    assert sentence(stage_model(project, light.artifact.path)) == known
    # What a SavedModel needs is not known yet.
    assert sentence(stage(project, source, "--engine", "litert")) == (
        f"--engine litert: {NOT_KNOWN} Set var tf_embeddings_artifact_repository to {PYPI}, or "
        "stage the model with --engine tensorflow."
    )
    assert "tf_embeddings" not in [name.lower() for name in schemas(project)]


@pytest.mark.exhaustive
def test_packages_that_only_the_graph_tells_are_asked_for_before_anything_is_put(
    project: SnowflakeProject, tmp_path: Path
) -> None:
    """Whether a model needs TensorFlow Text is known when it has been looked through."""
    made = encoder_makers.save_text_ops_model(tmp_path / "model")
    arguments = (made.path, "--name", "ops")
    cache = {"TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")}
    set_vars(project, artifact_repository=ANACONDA)
    assert sentence(stage_model(project, *arguments, **cache)) == (
        f"the model needs the Python package tensorflow-text, which {ANACONDA} does not have. Set "
        f"var tf_embeddings_artifact_repository to {PYPI}."
    )
    assert "tf_embeddings" not in [name.lower() for name in schemas(project)]

    set_vars(project, artifact_repository=PYPI)
    done = stage_model(project, *arguments, **cache)
    assert done.returncode == 0, done.stderr
    assert "packages: [numpy, tensorflow, tensorflow-text]\n" in done.stdout


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"role": "nobody"}, "NOBODY"),
        ({"database": "no_such_database"}, "no_such_database"),
        ({"password": None}, "password"),
    ],
    ids=["role", "database", "password"],
)
def test_what_is_wrong_with_the_connection_is_one_sentence(
    project: SnowflakeProject, source: Source, keys: dict[str, object], said: str
) -> None:
    use(project, **keys)
    came = sentence(stage(project, source))
    assert said.lower() in came.lower()
    assert "\n" not in came
    assert "Traceback" not in came


@pytest.mark.parametrize(
    "key",
    [
        "password",
        pytest.param("token", marks=pytest.mark.exhaustive),
        pytest.param("private_key_passphrase", marks=pytest.mark.exhaustive),
    ],
)
def test_a_secret_that_is_a_number_is_not_shown(
    project: SnowflakeProject, source: Source, key: str
) -> None:
    use(project, **{key: 12345678})
    done = stage(project, source, by=run_script)
    assert sentence(done) == (
        'dbt says: Credentials in profile "a_project", target "dev" invalid: a value has the wrong '
        "type (it is not shown: it may be secret). Put numbers in quotes, as in password: '123'"
    )
    assert "12345678" not in done.stdout + done.stderr
    logs = [path.read_text() for path in (project.folder / "logs").glob("*")]
    assert not any("12345678" in log for log in logs)


def test_what_dbt_says_of_a_profile_without_a_value_is_kept() -> None:
    head = 'Runtime Error\n  Credentials in profile "a", target "b" invalid: '
    for tail in ("'account' is a required property", "Runtime Error\n  Could not find adapter"):
        assert without_secrets(head + tail) == head + tail
    assert "Secret" not in without_secrets(f"{head}{{'a': 'Secret',\n'b': 1}} is not of type 'int'")


def secret_profiles(folder: Path) -> dict[str, dict[str, object]]:
    """Targets that log in with a password, an encrypted key, and a token; each is secret."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"Secret-passphrase-1"),
    )
    (folder / "key.p8").write_bytes(pem)
    path = str(folder / "key.p8")
    return {
        "password": {"password": "Secret-password-1"},
        "key": {
            "password": None,
            "private_key_path": path,
            "private_key_passphrase": "{{ env_var('A_PASSPHRASE') }}",
        },
        "token": {"password": None, "authenticator": "oauth", "token": "Secret-token-1"},
    }


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        ("password", "fails"),
        ("key", "works"),
        ("token", "fails"),
        pytest.param("password", "works", marks=pytest.mark.exhaustive),
        pytest.param("key", "fails", marks=pytest.mark.exhaustive),
        pytest.param("token", "works", marks=pytest.mark.exhaustive),
    ],
)
def test_no_secret_comes_out(
    project: SnowflakeProject, source: Source, tmp_path: Path, method: str, outcome: str
) -> None:
    use(project, **secret_profiles(tmp_path)[method])
    if outcome == "fails":
        use(project, role="nobody")
    debug = {"DBT_DEBUG": "1", "DBT_LOG_LEVEL_FILE": "debug", "A_PASSPHRASE": "Secret-passphrase-1"}
    done = stage(project, source, by=run_script, **debug)
    assert done.returncode == (0 if outcome == "works" else 1), done.stderr

    written = {
        path: path.read_bytes()
        for folder in ("logs", "target")
        for path in (project.folder / folder).rglob("*")
        if path.is_file()
    }
    assert project.folder / "logs/dbt.log" in written
    told = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode(), **written}
    assert [where for where, text in told.items() if b"Secret-" in text] == []


AZURE = (
    "HTTPSConnectionPool(host='x.blob.core.windows.net', port=443): Max retries exceeded with url: "
    "/c/x.zip?sv=2024-08-04&sig=Secret%2B1%3D&comp=block (Caused by NameResolutionError('no such'))"
)
S3 = (
    "HTTPError('403 Forbidden for url: https://b.s3.amazonaws.com/a/x.zip?uploads"
    "&X-Amz-Credential=Secret-1%2F20260101&X-Amz-Signature=Secret-2'), run again"
)
GCS = (
    'Putting failed: "https://storage.googleapis.com/b/x.zip?GoogleAccessId=a%40b.com&Expires=2'
    '&Signature=Secret/1+2==" (https://x/y?X-Goog-Signature=Secret)'
)
SIGNED = {
    AZURE: "HTTPSConnectionPool(host='x.blob.core.windows.net', port=443): Max retries exceeded "
    "with url: /c/x.zip?... (Caused by NameResolutionError('no such'))",
    S3: "HTTPError('403 Forbidden for url: https://b.s3.amazonaws.com/a/x.zip?...'), run again",
    GCS: 'Putting failed: "https://storage.googleapis.com/b/x.zip?..." (https://x/y?...)',
}


@pytest.mark.parametrize(("said", "left"), SIGNED.items(), ids=["Azure", "S3", "GCS"])
def test_a_presigned_address_loses_its_signature(said: str, left: str) -> None:
    assert without_secrets(said) == left
    assert without_secrets("is it there? x = 1") == "is it there? x = 1"


def test_an_address_loses_its_password_and_its_fragments_token() -> None:
    assert without_secrets("no 'http://u:p@ss@proxy:80/' here") == "no 'http://proxy:80/' here"
    assert without_secrets("see https://x/y#access_token=Secret&a=b") == "see https://x/y#..."


def test_an_upload_that_breaks_leaves_no_presigned_address(tmp_path: Path) -> None:
    """Nor does one that is killed: what stays behind then is looked at before it is removed."""
    project = make_project(tmp_path / "project")
    project.write(
        "macros/fail.sql",
        "{% macro fail(text) %}{{ exceptions.raise_compiler_error(text) }}{% endmacro %}",
    )
    given = json.dumps({"text": AZURE})
    places = ["--project-dir", str(project.folder), "--profiles-dir", str(project.folder)]
    command = ["run-operation", "fail", "--args", given, *places, *dbt_process._FLAGS]
    with dbt_process._no_log_file() as flags:
        heard = dbt_process._run_dbt(dbt_process.find_dbt(), [*command, *flags])
        folders = (project.folder, Path(flags[-1]))
        files = [path for one in folders for path in one.rglob("*") if path.is_file()]
        assert [path for path in files if b"Secret" in path.read_bytes()] == []
    assert len(heard.errors) == 1
    assert "/c/x.zip?... (Caused by" in heard.errors[0]


def test_the_upload_is_shown_from_its_first_line_to_its_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Upload(Report(Console(force_terminal=True, stderr=True, width=80))) as upload:
        upload.hear("another line")
        assert capsys.readouterr().err == ""
        upload.hear('tf_embeddings_upload {"bytes": 91000000}')
        assert "done" not in capsys.readouterr().err
        upload.hear("tf_embeddings_uploaded")
        assert "Uploading 91.0 MB to the stage: done" in capsys.readouterr().err
