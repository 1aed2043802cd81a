"""The dbt that stage_model.py calls: the user's own, whatever its version; what does not fit."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any, cast

import makers
import pytest
import yaml
from duckdb_projects import NAME, Project, make_project
from makers import Artifact, golden_of
from staging_cli import SCRIPT, Done, run_script, staged_files
from staging_cli import stage_model as stage
from tf_embeddings_staging.process import python_environment
from tf_embeddings_staging.redaction import without_secrets
from tf_embeddings_staging.warehouse import dbt_process
from tf_embeddings_staging.warehouse.dbt_errors import error
from tf_embeddings_staging.warehouse.dbt_process import Heard, find_dbt
from tf_embeddings_udf import Embedder

Saved = tuple[Path, dict[str, Any]]

VERSION = importlib.metadata.version("dbt-core")
READS_VARS_FILE = tuple(int(part) for part in VERSION.split(".")[:2]) >= (1, 12)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


@pytest.fixture(scope="module")
def artifact(
    litert_tokens_model: Saved, tiny_embedder: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """An artifact that was made elsewhere: staging it builds nothing."""
    return makers.write_artifact(
        *litert_tokens_model,
        tmp_path_factory.mktemp("elsewhere"),
        with_runtime=True,
        golden=golden_of(tiny_embedder, ["hello", "where is my invoice"]),
    )


def said(done: Done) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.removeprefix("Asking dbt for the stage ...\n").removeprefix("stage_model: ")


@pytest.fixture(scope="module")
def without_dbt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has what staging needs, and no command dbt."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = sysconfig.get_path("purelib", vars={"base": str(environment)})
    Path(site, "ours.pth").write_text(sysconfig.get_path("purelib"))
    return environment / "bin" / "python"


def run(python: Path, project: Project, artifact: Artifact, path: str) -> Done:
    return subprocess.run(
        [python, SCRIPT, artifact.path],
        cwd=project.folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )


def a_program(folder: Path, script: str) -> Path:
    """Write a program that is called dbt."""
    program = folder / "dbt"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_a_dbt_that_is_only_on_path_is_called(
    project: Project, without_dbt: Path, artifact: Artifact
) -> None:
    done = run(without_dbt, project, artifact, f"{find_dbt().parent}:/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in staged_files(project)] == [artifact.path.name]
    assert not (project.folder / "logs").exists() or "run-operation" not in "".join(
        log.read_text() for log in (project.folder / "logs").iterdir()
    )


def test_no_dbt_at_all_is_one_sentence(
    project: Project, without_dbt: Path, artifact: Artifact
) -> None:
    assert said(run(without_dbt, project, artifact, "/nowhere")) == (
        f"there is no dbt in '{without_dbt.parent}' or on PATH, and this script works through "
        f"your own dbt. Activate its environment, or install one: dbt Core 1.11 or later with the "
        f"adapter of your warehouse, or dbt v2.\n"
    )


def test_a_dbt_that_says_nothing_is_one_sentence(
    project: Project, without_dbt: Path, artifact: Artifact, tmp_path: Path
) -> None:
    """Such as one whose own Python is gone; what it wrote is shown."""
    dbt = a_program(tmp_path, "echo 'no interpreter' >&2; exit 3")
    assert said(run(without_dbt, project, artifact, str(tmp_path))) == (
        f"no interpreter\nstage_model: '{dbt}' stopped without an answer (exit code 3). Run `dbt "
        f"debug` to find out why.\n"
    )


def test_another_program_called_dbt_is_one_sentence(
    project: Project, without_dbt: Path, artifact: Artifact, tmp_path: Path
) -> None:
    dbt = a_program(tmp_path, "echo 'Invocation has finished'")
    assert said(run(without_dbt, project, artifact, str(tmp_path))) == (
        f"Invocation has finished\nstage_model: '{dbt}' is neither dbt Core nor dbt v2 (dbt's "
        f"Cloud CLI is called dbt too). Put dbt Core 1.11 or later, or dbt v2, first on PATH, or "
        f"activate its environment.\n"
    )


LOGS_IN = """\
print("Going to open: https://login.test/é")
print("Enter the URL: ", end="")
address = sys.stdin.readline().strip()
answer = "tf_embeddings_answer " + json.dumps({"address": address, "long": "x" * 100_000})
print(json.dumps({"info": {"name": "JinjaLogInfo", "level": "info", "msg": answer}}))
"""
CALLS = """\
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions, run_macro
print(run_macro(DbtOptions(), "a_macro", {})["address"])
"""


def test_what_a_login_says_and_asks_is_shown_while_dbt_waits(
    without_dbt: Path, tmp_path: Path
) -> None:
    dbt = tmp_path / "dbt"
    dbt.write_text(f"#!{sys.executable}\nimport json, sys\n{LOGS_IN}")
    dbt.chmod(0o755)
    environment = {**python_environment(), "PATH": str(tmp_path), "PYTHONUTF8": "1"}
    environment.pop("PYTHONUNBUFFERED", None)
    with subprocess.Popen(
        [without_dbt, "-c", CALLS],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdin
        assert process.stderr
        give_up = threading.Timer(60, process.stdin.close)
        give_up.daemon = True
        give_up.start()
        asked = "Going to open: https://login.test/é\nEnter the URL: "
        assert process.stderr.read(len(asked)) == asked
        assert process.communicate("http://localhost/?token=t\n") == (
            "http://localhost/?token=t\n",
            "",
        )
        give_up.cancel()
    assert process.returncode == 0


def test_a_long_event_is_split_once() -> None:
    """Each byte is searched for a line's end once, not at each chunk that follows."""
    text = '{"long": "' + "é" * 300_000 + '"}\nNext? '
    stdout = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(text.encode()), 4096))
    splits: list[int] = []

    class Counted(str):
        def split(self, *arguments: Any, **keys: Any) -> list[str]:  # noqa: ANN401 - as str's
            splits.append(len(self))
            return super().split(*arguments, **keys)

        def __radd__(self, other: str) -> Counted:
            return Counted(other + str(self))

    class Decoder(io.IncrementalNewlineDecoder):
        def decode(self, *arguments: Any, **keys: Any) -> str:  # noqa: ANN401 - as its parent's
            return Counted(super().decode(*arguments, **keys))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "IncrementalNewlineDecoder", Decoder)
        lines = list(dbt_process._lines(stdout))
    assert [line for line in lines if line] == text.splitlines(keepends=True)
    assert sum(splits) == len(text)


@pytest.mark.parametrize(
    "line",
    ['{"info": "text"}\n', '{"info": {"name": "x"}}\n', "[1]\n", '{"a": 1}\n', "Enter: ", "{"],
)
def test_a_line_that_is_not_an_event_is_shown(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Heard().hear(line) is None
    assert capsys.readouterr().err == line


def test_an_event_on_the_line_of_a_question_counts(capsys: pytest.CaptureFixture[str]) -> None:
    heard = Heard()
    info = {"name": "JinjaLogInfo", "level": "info", "msg": "said"}
    assert heard.hear("Enter: " + json.dumps({"info": info}) + "\n") == "said"
    assert heard.logged == ["said"]
    assert capsys.readouterr().err == "Enter: "


def test_a_project_for_another_version_is_one_sentence(
    project: Project, artifact: Artifact
) -> None:
    project.configure(**{"require-dbt-version": [">=2.0.0", "<3.0.0"]})
    assert said(stage(project, artifact.path)) == (
        f"'{find_dbt()}' is dbt {VERSION}, but '{NAME}' requires dbt >=2.0.0, <3.0.0. Install such "
        f"a dbt there, or run this in an environment that has one.\n"
    )


def test_a_dbt_without_the_adapter_is_one_sentence(project: Project, artifact: Artifact) -> None:
    target = {"type": "redshift", "host": "h", "user": "u", "password": "p", "dbname": "d"}
    project.write_yaml("profiles.yml", {NAME: {"target": "dev", "outputs": {"dev": target}}})
    assert said(stage(project, artifact.path)) == (
        f"'{find_dbt()}' has no dbt-redshift, which the profile's target needs. Install it there "
        f"with: pip install dbt-redshift\n"
    )


def with_vars(project: Project, **variables: Any) -> Path:  # noqa: ANN401 - vars are any JSON
    file = project.folder / "vars.yml"
    file.write_text("# ours\n" + yaml.safe_dump({"vars": variables}) + "  # the end\n")
    return file


@pytest.mark.skipif(not READS_VARS_FILE, reason=f"dbt {VERSION} does not read vars.yml")
def test_a_pin_in_vars_yml_is_written_read_and_used(project: Project, artifact: Artifact) -> None:
    file = with_vars(project, mine=1)
    before = (project.folder / "dbt_project.yml").read_text()
    done = stage(project, artifact.path, "--write")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"Wrote the pin of tiny to {file}\n")
    assert (project.folder / "dbt_project.yml").read_text() == before
    text = file.read_text()
    assert text.startswith("# ours\nvars:\n  mine: 1\n")
    assert text.endswith("  # the end\n")
    pins = {"tiny": artifact.pin()}
    assert yaml.safe_load(text)["vars"] == {"mine": 1, "tf_embeddings_models": pins}

    again = stage(project, artifact.path, "--write")
    assert again.stderr.endswith(f"The pin of tiny is in {file} already.\n")
    [row] = project.show("select {{ tf_embeddings.embedding_version() }} as version")
    assert row == {"version": artifact.version}


@pytest.mark.skipif(not READS_VARS_FILE, reason=f"dbt {VERSION} does not read vars.yml")
def test_vars_in_both_files_are_one_sentence(project: Project, artifact: Artifact) -> None:
    with_vars(project, mine=1)
    project.configure(vars={"other": 1})
    assert said(stage(project, artifact.path)) == (
        "dbt says: Variables cannot be defined in both vars.yml and dbt_project.yml. Move all of "
        "them into one of the two files.\n"
    )


@pytest.mark.skipif(READS_VARS_FILE, reason=f"dbt {VERSION} reads vars.yml")
def test_a_dbt_that_does_not_read_vars_yml_is_one_sentence(
    project: Project, artifact: Artifact
) -> None:
    file = with_vars(project, mine=1)
    before = file.read_text()
    assert said(stage(project, artifact.path, "--write")) == (
        f"this project has its vars in vars.yml, which dbt {VERSION} does not read. Use dbt 1.12 "
        f"or later, or move the vars to dbt_project.yml.\n"
    )
    assert file.read_text() == before


def test_a_relative_stage_is_not_made_in_a_folder_of_the_project(
    project: Project, artifact: Artifact
) -> None:
    """dbt-duckdb starts from the folder where dbt is called; the project's is found upward."""
    profile = yaml.safe_load((project.folder / "profiles.yml").read_text())
    [plugin] = profile[NAME]["outputs"]["dev"]["plugins"]
    plugin["config"]["stage"] = "./stage"
    project.write_yaml("profiles.yml", profile)
    project.write("models/deep/a.sql", "select 1 as a")
    below = Project(project.folder / "models" / "deep")
    done = stage(below, artifact.path, "--profiles-dir", project.folder)
    assert said(done) == (
        f"the stage './stage' is relative, and dbt-duckdb starts from the folder where it is "
        f"called, which is '{below.folder}'. Run this in the project's folder: cd "
        f"{project.folder}\n"
    )
    assert stage(project, artifact.path).returncode == 0
    above = stage(Project(project.folder.parent), artifact.path, "--project-dir", "project",
                  "--profiles-dir", "project")  # fmt: skip
    assert above.returncode == 0


STACK = "\n   0: <unknown>\n   1: start_thread\n             at ./nptl/pthread_create.c:442:8\n"
STEP = {"doing": "Looking into database d", "next": "Let its owner run: grant"}


@pytest.mark.parametrize(
    ("message", "step", "sentence"),
    [
        (
            "[error] [JinjaError (dbt1501)]: Failed to run operation invalid operation: "
            "Compilation Error: stage_model: a sentence.\nselect 1;\nselect 2;\n(in :1:16)\n"
            "(in macros/n.sql:2:36)\n  --> macros/n.sql:2:36" + STACK,
            {},
            "a sentence.\nselect 1;\nselect 2;",
        ),
        (
            "[error] [DbSyntaxInvalid (dbt1302)]: [Snowflake] 002003 (42S02): 002003 (42S02): SQL "
            "compilation error:\nObject '\"D\"' does not exist or not authorized. (SQLSTATE: "
            "42S02, Vendor code: 2003)\n(in :1:24)\n  --> :1:24" + STACK,
            STEP,
            "Looking into database d failed: Object '\"D\"' does not exist or not authorized. Let "
            "its owner run: grant",
        ),
        (
            "[error] [JinjaError (dbt1501)]: Template not found: tf_embeddings._x" + STACK,
            {},
            "the dbt package tf_embeddings is not installed in this project, or it is too old. Add "
            "it to packages.yml and run: dbt deps",
        ),
        (
            "[error] [InvalidConfig (dbt1005)]: target 'nope' not found in profile 'p3'" + STACK,
            {},
            "dbt says: target 'nope' not found in profile 'p3'",
        ),
        (
            "[error] [InvalidConfig (dbt1005)]: Variables cannot be defined in both vars.yml and "
            "dbt_project.yml." + STACK,
            {},
            "dbt says: Variables cannot be defined in both vars.yml and dbt_project.yml. Move all "
            "of them into one of the two files.",
        ),
    ],
)
def test_an_error_of_dbt_v2_is_its_sentence(
    message: str, step: dict[str, Any], sentence: str
) -> None:
    """Recorded from 2.0.0-preview.196."""
    assert str(error(Path("dbt"), message, step)) == sentence


HEAD = "[error] [InvalidConfig (dbt1005)]: "
AROUND = (
    "[ERROR]: Encountered an error:\nRuntime Error\n  \n  dbt encountered an error while trying to "
    "read your profiles.yml file.\n  \n  Runtime Error\n    Syntax error near line 14\n    "
    "------------------------------\n    13 |       schema: s\n    14 |       password: !Secret\n  "
    "  15 |       threads: 1\n    16 | \n    \n    Raw Error:\n    ------------------------------\n"
    "    could not determine a constructor for the tag '!Secret'\n      in \"<unicode string>\", "
    "line 14, column 17\n  "
)
NOT_SHOWN = "(not shown: it may be secret; `dbt debug` shows it)"


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        *[
            (
                f"{HEAD}Failed to parse profiles.yml: password: invalid type: {given}, expected a "
                f"string at line 14 column 17{STACK}",
                f"Failed to parse profiles.yml: password: invalid type: {kind} {NOT_SHOWN}, "
                f"expected a string at line 14 column 17",
            )
            for given, kind in [
                ("integer `5377`", "integer"),
                ("floating point `5377.5`", "floating point"),
                ("boolean `Secret`", "boolean"),
                ('string "Secret`, \\" expected"', "string"),
            ]
        ],
        (
            "[error] [SerializationError (dbt1013)]: YAML error: lab.outputs.s.password: invalid "
            "type: integer `123456789012345678901234567890` as u128, expected any valid YAML "
            f"value\n  --> profiles.yml:14:17{STACK}",
            f"YAML error: lab.outputs.s.password: invalid type: integer {NOT_SHOWN}, expected any "
            "valid YAML value",
        ),
        (
            f"{HEAD}Jinja render error: unknown function: Jinja macro or function `Secret` is "
            f"unknown\n(in :1:1){STACK}",
            f"Jinja render error: in a value {NOT_SHOWN}",
        ),
        (
            f"{HEAD}Jinja render error: invalid operation: 'env_var': environment variable 'NAME' "
            f"not found\n(in :1:1){STACK}",
            "Jinja render error: invalid operation: 'env_var': environment variable 'NAME' not "
            "found",
        ),
        (
            "[error] [SerializationError (dbt1013)]: YAML error: mapping values are not allowed in "
            f"this context at line 14 column 23\n  --> profiles.yml:14:23{STACK}",
            "YAML error: mapping values are not allowed in this context at line 14 column 23",
        ),
        (
            AROUND,
            "dbt encountered an error while trying to read your profiles.yml file. Syntax error "
            f"near line 14 {NOT_SHOWN}",
        ),
        (
            "[ERROR]: Encountered an error:\nRuntime Error\n  Compilation Error\n    Could not "
            "render Secret{%ret: Encountered unknown tag 'ret'.\n      line 1\n        Secret{%ret",
            f"Could not render a value {NOT_SHOWN}",
        ),
    ],
)
def test_no_value_of_the_profile_is_in_the_sentence(message: str, sentence: str) -> None:
    """Recorded from 2.0.0-preview.196 and from 1.12; Secret and 5377 stand for the secret."""
    assert str(error(Path("dbt"), without_secrets(message), {})) == f"dbt says: {sentence}"


@pytest.mark.parametrize(
    "line",
    [
        "password: 'Secret' too",
        "password: !Secret too\n      token: 5",
        "token: 'Secret{%ret'",
        "token: [Secret]",
    ],
)
def test_no_value_of_a_broken_profile_reaches_the_terminal(
    project: Project, artifact: Artifact, line: str
) -> None:
    project.write(
        "profiles.yml",
        f"{NAME}:\n  target: dev\n  outputs:\n    dev:\n      type: snowflake\n      account: a\n"
        f"      user: u\n      database: d\n      schema: s\n      {line}\n",
    )
    sentence = said(run_script(project, artifact.path))
    assert sentence.startswith("dbt says: ")
    assert "not shown: it may be secret" in sentence
    assert "Secret" not in sentence
