"""stage_model.py in a project that has the package installed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import bert_folder
import makers
import pytest
import tf_embeddings_udf
import yaml
from duckdb_projects import Project, make_project
from loopback import gives, is_silent_until, serve
from staging_cli import SCRIPT, run_script, stage_model, staged_files, start
from tf_embeddings_staging import cli
from tf_embeddings_staging.catalogue import catalogue
from tf_embeddings_staging.conversion.families import FAMILIES
from tf_embeddings_staging.conversion.transformer import AS_SAVED_MODEL
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.sources import resolve

SOURCE_MAY_BE = (
    "SOURCE may be a name of the catalogue (--list shows them), a Hugging Face id "
    "(<owner>/<model> or <owner>/<model>@<revision>, with hf: before it where a folder has the "
    "same name), a Kaggle model (kaggle:<owner>/<model>/<framework>/<variation>/<version>), a "
    "TF-Hub handle (https://tfhub.dev/<publisher>/<model>/<version>), the address of a .tar.gz, "
    ".tgz, .tar or .zip, such an archive on this machine, the folder of a SavedModel, the folder "
    "of a sentence encoder (config.json, model.safetensors, tokenizer.json, modules.json), a "
    ".keras file, or an artifact that was made before (<model>-<build>.zip)."
)
HELP = "--help shows what is allowed."
COMMENTED = """\
# The shop's project.
name: a_project   # a name
version: "1.0.0"
profile: a_project

flags: {send_anonymous_usage_stats: false}   # not from tests

# What is staged:
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path / "project")
    made.write("dbt_project.yml", COMMENTED)
    return made


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project for calls that must not change it."""
    return make_project(tmp_path_factory.mktemp("unchanged") / "project")


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model of kind `text`."""
    folder = tmp_path_factory.mktemp("text_model") / "model"
    makers.save_text_model(folder)
    return folder


@pytest.fixture(scope="module")
def strings(text_model: Path, tmp_path_factory: pytest.TempPathFactory) -> makers.Artifact:
    """The artifact of that model, as it can be staged again."""
    parameters = {**makers.text_parameters(), "normalize": False}
    stage = tmp_path_factory.mktemp("strings")
    return makers.with_golden(
        makers.write_artifact(text_model, parameters, stage, model="strings", with_runtime=True)
    )


@pytest.fixture
def encoder(tmp_path: Path) -> bert_folder.Folder:
    return bert_folder.make_folder(tmp_path / "my_encoder", pooling="mean")


def tree(folder: Path) -> dict[Path, int]:
    """What is in a folder, but dbt's own output and the database that it opens."""
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_relative_to(folder / "target")
        and not path.is_relative_to(folder / "logs")
        and path.suffix not in (".duckdb", ".wal")
        and path.name != ".user.yml"
    }


def test_a_dry_run_then_a_run_then_the_same_again(
    project: Project, minilm: makers.Artifact
) -> None:
    place = project.stage / "minilm" / minilm.version / minilm.path.name
    pin = (
        f"vars:\n  tf_embeddings_models:\n    minilm:\n      version: {minilm.version}\n"
        f"      build: {minilm.build}\n      dimensions: 384\n      kind: tokens\n"
        f"      packages: [ai-edge-litert, numpy, tokenizers]\n"
        f"      bytes: {minilm.path.stat().st_size}\n"
    )
    before = tree(project.folder)

    dry = stage_model(project, "minilm", "--write", "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, pin)
    assert f"Dry run: minilm would be put to {place}\n" in dry.stderr
    assert tree(project.folder) == before

    first = stage_model(project, "minilm", "--write")
    assert (first.returncode, first.stdout) == (0, pin)
    assert "Fetching" not in first.stderr
    assert "Probing" not in first.stderr
    assert f"minilm is staged: {place}\n" in first.stderr
    assert place.read_bytes() == minilm.path.read_bytes()
    assert place.stat().st_mode & 0o777 == 0o644
    assert (project.folder / "dbt_project.yml").read_text() == COMMENTED + pin

    after = tree(project.folder)
    second = stage_model(project, "minilm", "--write")
    assert (second.returncode, second.stdout) == (0, pin)
    assert f"minilm is staged already: {place}\n" in second.stderr
    assert f"is in {project.folder}/dbt_project.yml already.\n" in second.stderr
    assert tree(project.folder) == after


def test_without_write_the_project_is_left_alone(project: Project, minilm: makers.Artifact) -> None:
    done = stage_model(project, "minilm")
    assert done.returncode == 0
    assert (project.folder / "dbt_project.yml").read_text() == COMMENTED
    assert [path.name for path in staged_files(project)] == [minilm.path.name]
    assert done.stderr.endswith(
        f"This is the pin of minilm: add it to {project.folder}/dbt_project.yml, or run with "
        f"--write.\n"
    )


@pytest.mark.parametrize("damage", ["cut in half", "one bit"])
def test_a_damaged_copy_on_the_stage_is_replaced(
    project: Project, minilm: makers.Artifact, damage: str
) -> None:
    place = project.stage / "minilm" / minilm.version / minilm.path.name
    place.parent.mkdir(parents=True)
    content = minilm.path.read_bytes()
    half = len(content) // 2
    flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
    place.write_bytes(content[:half] if damage == "cut in half" else flipped)

    done = stage_model(project, "minilm")
    assert done.returncode == 0
    assert f"minilm is staged: {place}\n" in done.stderr
    assert place.read_bytes() == content


@pytest.mark.exhaustive
def test_the_flags_of_dbt_name_the_project_from_anywhere(
    project: Project, text_model: Path, strings: makers.Artifact, tmp_path: Path
) -> None:
    script = project.folder / SCRIPT
    places = ["--project-dir", project.folder, "--profiles-dir", project.folder]
    done = subprocess.run(
        [sys.executable, script, text_model, "--name", "other", *places, "--write", "-t", "dev"],
        cwd=tmp_path,
        env={**os.environ, "TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")},
        check=True,
        capture_output=True,
        text=True,
    )
    pins = yaml.safe_load((project.folder / "dbt_project.yml").read_text())["vars"]
    assert yaml.safe_load(done.stdout)["vars"] == pins
    assert pins["tf_embeddings_models"]["other"]["version"] == strings.version
    assert staged_files(project)[0].name.startswith("other-b")


CONVERTING = ("Converting to LiteRT",)
EVERY_MOMENT = (
    "Asking dbt",
    "Converting the weights",
    *CONVERTING,
    "Probing",
    "Writing",
    "Copying",
)


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(CONVERTING, id="converting"),
        pytest.param(EVERY_MOMENT, id="every moment", marks=pytest.mark.exhaustive),
    ],
)
def test_killed_at_any_moment_the_next_run_ends_well(
    project: Project, encoder: bert_folder.Folder, tmp_path: Path, moments: tuple[str, ...]
) -> None:
    arguments = [encoder.path, "--name", "mine", "--write"]
    cache = {"TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")}
    for moment in moments:
        process = start(project, *arguments, **cache)
        assert process.stderr
        assert any(line.startswith(moment) for line in process.stderr), moment
        process.kill()
        process.communicate()
        for file in staged_files(project):
            assert file.suffix == ".part" or tf_embeddings_udf.read_manifest(file)

    done = stage_model(project, *arguments, **cache)
    assert done.returncode == 0, done.stderr
    pin = yaml.safe_load(done.stdout)["vars"]["tf_embeddings_models"]["mine"]
    (artifact,) = (file for file in staged_files(project) if file.suffix == ".zip")
    assert tf_embeddings_udf.build_of(artifact) == pin["build"]
    assert (
        yaml.safe_load((project.folder / "dbt_project.yml").read_text())["vars"]
        == (yaml.safe_load(done.stdout)["vars"])
    )


@pytest.mark.exhaustive
def test_killed_while_it_copies_the_next_run_copies_again(
    project: Project, minilm: makers.Artifact
) -> None:
    process = start(project, "minilm")
    assert process.stderr
    assert any(line.startswith("Copying") for line in process.stderr)
    process.kill()
    process.communicate()

    done = stage_model(project, "minilm")
    assert done.returncode == 0, done.stderr
    (artifact,) = (file for file in staged_files(project) if file.suffix == ".zip")
    assert tf_embeddings_udf.build_of(artifact) == minilm.build


@pytest.mark.exhaustive
def test_killed_while_it_fetches_the_next_run_fetches_again(
    project: Project, text_model: Path, tmp_path: Path
) -> None:
    cache = {"TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")}
    archive = Path(shutil.make_archive(str(tmp_path / "model"), "gztar", text_model))
    done = threading.Event()
    with serve() as server:
        url = server.at("/model.tar.gz", is_silent_until(done), gives(archive.read_bytes()))
        process = start(project, url, "--name", "strings", "--dry-run", **cache)
        assert process.stderr
        assert any(line.startswith("Fetching") for line in process.stderr)
        process.kill()
        process.communicate()
        done.set()
        assert not (tmp_path / "cache" / "sources").exists()

        run = stage_model(project, url, "--name", "strings", "--dry-run", **cache)
    assert run.returncode == 0, run.stderr
    assert "kind: text\n" in run.stdout


@pytest.mark.exhaustive
def test_two_at_once_end_well_with_the_same_pin(
    project: Project, text_model: Path, tmp_path: Path
) -> None:
    cache = {"TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")}
    runs = [start(project, text_model, "--name", "mine", "--write", **cache) for _ in range(2)]
    outputs = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert len(list((tmp_path / "cache").rglob("*.zip"))) == 1
    assert not list((tmp_path / "cache/work").iterdir())
    (artifact,) = staged_files(project)
    (kept,) = (tmp_path / "cache").rglob("*.zip")
    assert all(f"{kept}\n" in err for _, err in outputs)  # whether it was built or found
    assert (project.folder / "dbt_project.yml").read_text() == COMMENTED + outputs[0][0]
    pin = yaml.safe_load(outputs[0][0])["vars"]["tf_embeddings_models"]["mine"]
    assert tf_embeddings_udf.build_of(artifact) == pin["build"]


wrong = pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["use_tiny"],
            1,
            "SOURCE 'use_tiny' is not in the catalogue, and there is no such file or folder. Give "
            "a name that --list shows, the path of a model or an artifact, or an id or address as "
            "--help shows them.",
        ),
        (
            ["packages.yml"],
            1,
            f"SOURCE 'packages.yml' is a file of a format that cannot be staged. {SOURCE_MAY_BE}",
        ),
        (
            ["."],
            1,
            f"SOURCE '.' is a folder with neither saved_model.pb nor config.json. {SOURCE_MAY_BE}",
        ),
        (
            ["minilm", "--name", "Mini-LM"],
            2,
            "--name 'Mini-LM' is not valid. A name has up to 40 characters a-z, 0-9 and _, and "
            "starts with a letter.",
        ),
        (
            [],
            2,
            "SOURCE is missing. Name the model to stage; --list shows the catalogue.",
        ),
        (
            ["--list", "minilm"],
            2,
            "--list shows the whole catalogue. Leave SOURCE out.",
        ),
        (
            ["minilm", "--sort", "speed"],
            2,
            "--sort is for --list. Leave --sort out, or add --list.",
        ),
        (
            ["--list", "--sort", "price"],
            2,
            f"--sort: 'price' is not one of speed, quality, size, name. {HELP}",
        ),
        (
            ["--inspect", "--list"],
            2,
            "--list shows the catalogue and --inspect a model. Give only one of them.",
        ),
        (
            ["minilm", "--inspect", "--write"],
            2,
            "--inspect stages nothing, so --write has no effect. Leave it out.",
        ),
        (
            ["minilm", "--kind", "words"],
            2,
            f"--kind: 'words' is not one of pairs, sentencepiece, static, text, tokens. {HELP}",
        ),
        (
            ["minilm", "--pooling", "sum"],
            2,
            "--pooling: 'sum' is not one of mean, cls, max, mean_sqrt_len, weightedmean, "
            f"lasttoken. {HELP}",
        ),
        (
            ["minilm", "--engine", "onnx"],
            2,
            f"--engine: 'onnx' is not one of auto, litert, tensorflow. {HELP}",
        ),
        (
            ["minilm", "--max-tokens", "0"],
            2,
            f"--max-tokens: '0' is not a whole number of at least 1. {HELP}",
        ),
        (
            ["minilm", "--truncate-dim", "1.5"],
            2,
            f"--truncate-dim: '1.5' is not a whole number of at least 1. {HELP}",
        ),
        (
            ["minilm", "--size-limit", "much"],
            2,
            f"--size-limit: 'much' is not a number above 0. {HELP}",
        ),
        (
            ["minilm", "--memory-limit", "-1"],
            2,
            f"--memory-limit: '-1' is not a number above 0. {HELP}",
        ),
        (
            ["minilm", "--time-limit", "0"],
            2,
            f"--time-limit: '0' is not a number above 0. {HELP}",
        ),
        (
            ["minilm", "--sha256", "b9a0"],
            2,
            f"--sha256: 'b9a0' is not a SHA-256, which has 64 hex digits. {HELP}",
        ),
        (
            ["minilm", "--quick"],
            2,
            f"unrecognized arguments: --quick. {HELP}",
        ),
        (
            ["https://user:word@example.org/model.tar.gz?key=1"],
            2,
            "the model in 'https://example.org/model.tar.gz?...' needs a name. Add --name NAME.",
        ),
        (
            ["minilm", "--target", "prod"],
            1,
            "dbt says: The profile 'a_project' does not have a target named 'prod'. The valid "
            "target names for this profile are: - dev",
        ),
        (
            ["minilm", "--profile", "other"],
            1,
            "dbt says: Could not find profile named 'other'",
        ),
        (
            ["minilm", "--project-dir", "/"],
            1,
            "there is no dbt_project.yml in '/'. Run this in a dbt project, or name its folder "
            "with --project-dir.",
        ),
    ],
)


@wrong
def test_what_is_wrong_is_one_sentence(
    arguments: list[str],
    code: int,
    sentence: str,
    unchanged: Project,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(unchanged.folder)
    assert cli.main(arguments) == code
    out, err = capfd.readouterr()
    said = err.removeprefix("Asking dbt for the stage ...\n")
    assert (out, said) == ("", f"stage_model: {sentence}\n")


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["use_tiny"], 1)])
def test_the_script_ends_with_the_same_code(
    unchanged: Project, arguments: list[str], code: int
) -> None:
    done = run_script(unchanged, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("stage_model: SOURCE ")
    assert done.stderr.count("\n") == 1


def test_a_folder_needs_a_name(
    encoder: bert_folder.Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([str(encoder.path)]) == 2
    assert capsys.readouterr().err == (
        "stage_model: the model in 'my_encoder' needs a name. Add --name NAME.\n"
    )


@pytest.mark.exhaustive
def test_an_artifact_that_was_made_before_is_staged_as_it_is(
    project: Project, strings: makers.Artifact, tmp_path: Path
) -> None:
    """Promotion: the same bytes for another project, of a machine that builds nothing."""
    place = project.stage / "strings" / strings.version / strings.path.name
    empty = {"TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")}

    dry = stage_model(project, strings.path, "--dry-run", "--write", **empty)
    assert dry.returncode == 0, dry.stderr
    assert f"Dry run: strings would be put to {place}\n" in dry.stderr
    assert not staged_files(project)

    done = stage_model(project, strings.path, "--name", "strings", "--write", **empty)
    assert done.returncode == 0, done.stderr
    assert place.read_bytes() == strings.path.read_bytes()
    pins = yaml.safe_load((project.folder / "dbt_project.yml").read_text())["vars"]
    assert pins["tf_embeddings_models"] == {"strings": strings.pin()}
    assert "Note: its version" not in done.stderr
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept == []

    other = {"vars": {"tf_embeddings_models": {"strings": {**strings.pin(), "version": "v0"}}}}
    project.write("dbt_project.yml", COMMENTED + yaml.safe_dump(other))
    again = stage_model(project, strings.path, "--name", "strings", "--write", **empty)
    assert (
        f"Note: its version changed from v0 to {strings.version}: all texts are re-embedded. To "
        f"avoid that, stage strings with its old options.\n"
    ) in again.stderr

    from_the_stage = stage_model(project, place, **empty)
    assert f"strings is staged already: {place}\n" in from_the_stage.stderr
    file = project.folder / "dbt_project.yml"
    assert from_the_stage.stderr.endswith(f"{file} pins this build of strings already.\n")

    file.write_text(file.read_text().replace(strings.build, "b000000000000"))
    differs = (
        f"{file} pins build b000000000000 of strings, which differs from this one. Run with "
        f"--write to pin this one, or stage the file of that build."
    )
    assert stage_model(project, place, **empty).stderr.endswith(f"{differs}\n")

    file.write_text(file.read_text().replace(strings.version, "v000000000000"))
    assert stage_model(project, place, **empty).stderr.endswith(
        f"{differs} The version changes too, from v000000000000: all texts are re-embedded.\n"
    )


def test_a_pinned_model_is_staged_by_its_name_from_the_cache(
    project: Project, strings: makers.Artifact, tmp_path: Path
) -> None:
    """The command that dbt prints where a model is missing on the stage."""
    cache = {"TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")}
    unpinned = stage_model(project, "strings", "--write", **cache)
    assert "SOURCE 'strings' is not in the catalogue," in unpinned.stderr

    pin = {"vars": {"tf_embeddings_models": {"strings": strings.pin()}}}
    project.write("dbt_project.yml", COMMENTED + yaml.safe_dump(pin))
    missing = stage_model(project, "strings", "--write", **cache)
    assert (missing.returncode, missing.stderr) == (
        1,
        f"stage_model: 'strings' is pinned in dbt_project.yml, but its artifact "
        f"{strings.path.name} is not in this machine's cache. Stage that file, or the model's "
        f"source with --name strings and the same options as before.\n",
    )

    kept = tmp_path / "cache" / "artifacts" / ("0" * 32) / strings.path.name
    kept.parent.mkdir(parents=True)
    shutil.copyfile(strings.path, kept)
    done = stage_model(project, "strings", "--write", **cache)
    assert done.returncode == 0, done.stderr
    (staged,) = staged_files(project)
    assert staged.read_bytes() == strings.path.read_bytes()


def test_an_artifact_keeps_its_name(
    strings: makers.Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([str(strings.path), "--name", "other"]) == 2
    assert capsys.readouterr().err == (
        "stage_model: an artifact's name is fixed: 'strings', not 'other'. Leave --name out.\n"
    )


def test_an_artifact_that_is_not_what_its_name_says_is_one_sentence(
    strings: makers.Artifact, saved_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    content = strings.path.read_bytes()

    short = tmp_path / strings.path.name
    short.write_bytes(content[:-1])
    assert refusal(short).startswith(
        f"SOURCE '{short}' cannot be staged: it is cut short, or not a zip "
    )
    assert refusal(short).endswith(
        "Copy it again from where it was made, or give the SOURCE that the model was made of, with "
        "--name strings."
    )

    misnamed = tmp_path / "strings-b000000000000.zip"
    misnamed.write_bytes(content)
    assert refusal(misnamed) == (
        f"SOURCE '{misnamed}' is damaged: it is the build {strings.build}, and its name says "
        f"b000000000000. Copy it again from where it was made."
    )

    renamed = tmp_path / f"other-{strings.build}.zip"
    renamed.write_bytes(content)
    assert refusal(renamed) == (
        f"SOURCE '{renamed}' holds the model 'strings', and its name says 'other'. Name it "
        f"'{strings.path.name}' again."
    )

    newer = makers.write_artifact(*saved_tokens_model, tmp_path / "stage", format=4).path
    assert refusal(newer).startswith(
        f"SOURCE '{newer}' cannot be staged: the artifact {newer.name} has format 4, and the "
        f"installed tf_embeddings only knows format 3. "
    )

    empty = tmp_path / f"strings-b{hashlib.sha256(b'').hexdigest()[:12]}.zip"
    empty.touch()
    assert "it is cut short, or not a zip" in refusal(empty)


def refusal(source: Path) -> str:
    with pytest.raises(StagingError) as raised:
        resolve(str(source), catalogue())
    return str(raised.value)


def test_a_profile_without_the_plugin_says_what_to_add(tmp_path: Path) -> None:
    done = stage_model(make_project(tmp_path / "project", plugin=False), "minilm")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Asking dbt for the stage ...\n"
        "stage_model: target 'dev' of profile 'a_project' does not load the plugin "
        "tf_embeddings_duckdb. Add it to that target in profiles.yml:\n"
        "module_paths: [dbt_packages/tf_embeddings/udf_src]\n"
        "plugins: [{module: tf_embeddings_duckdb, config: {stage: tf_embeddings_stage}}]\n"
    )


def test_a_project_without_the_package_says_dbt_deps(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project.folder / "dbt_packages/tf_embeddings").unlink()

    done = stage_model(project, "minilm")
    assert done.returncode == 1
    assert done.stderr.endswith('Run "dbt deps" to install package dependencies.\n')

    (project.folder / "packages.yml").unlink()
    (project.folder / "package-lock.yml").unlink()  # dbt 1.12 expects the packages that it names
    done = stage_model(project, "minilm")
    assert done.returncode == 1
    assert done.stderr == (
        "Asking dbt for the stage ...\n"
        "stage_model: the dbt package tf_embeddings is not installed in this project, or it is too "
        "old. Add it to packages.yml and run: dbt deps\n"
    )


def test_a_folder_that_cannot_be_converted_stages_nothing(
    unchanged: Project, encoder: bert_folder.Folder
) -> None:
    encoder.edit("config.json", model_type="t5")
    done = stage_model(unchanged, encoder.path, "--name", "mine", "--write")
    assert (done.returncode, done.stdout) == (1, "")
    families = ", ".join(map(repr, FAMILIES))
    assert (
        f"stage_model: 'config.json' says model_type 't5'; the converter knows {families}. "
        f"{AS_SAVED_MODEL}\n"
    ) in done.stderr
    assert not staged_files(unchanged)


def test_a_pin_that_cannot_be_written_is_printed(project: Project, minilm: makers.Artifact) -> None:
    project.write("dbt_project.yml", f"{COMMENTED}vars:\n  tf_embeddings_models: [minilm]\n")
    done = stage_model(project, "minilm", "--write")
    assert done.returncode == 1
    assert f"build: {minilm.build}\n" in done.stdout
    assert done.stderr.endswith(
        "stage_model: 'tf_embeddings_models' in dbt_project.yml is of type list, not a map, so "
        "the pin was not written. Add it by hand.\n"
    )


def test_a_missing_python_package_comes_with_the_pip_command(unchanged: Project) -> None:
    command = [sys.executable, "-S", SCRIPT, "minilm"]  # -S: nothing that pip installed
    done = subprocess.run(command, cwd=unchanged.folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(
        r"stage_model: the Python package '\w+' is not installed\. Install it with: pip install "
        r"-r dbt_packages/tf_embeddings/requirements\.txt\n",
        done.stderr,
    )


def test_a_database_that_another_process_has_open_is_one_sentence(
    project: Project,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, project.database],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "open\n"
    done = stage_model(project, "minilm", "--dry-run")
    holder.communicate("close")
    assert done.returncode == 1
    assert re.fullmatch(
        rf'stage_model: dbt says: IO Error: Could not set lock on file "{project.database}": .*',
        done.stderr.splitlines()[1],
    )


HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"


def test_the_database_is_not_kept_open_while_a_model_is_built(
    project: Project, encoder: bert_folder.Folder, tmp_path: Path
) -> None:
    cache = {"TF_EMBEDDINGS_CACHE": str(tmp_path / "cache")}
    process = start(project, encoder.path, "--name", "mine", **cache)
    assert process.stderr
    assert any(line.startswith("Converting") for line in process.stderr)
    project.execute("select 1")
    process.kill()
    process.communicate()


def test_dbts_last_results_are_kept(project: Project, minilm: makers.Artifact) -> None:
    """run-operation overwrites run_results.json, which `dbt retry` reads, unless told not to."""
    project.write("models/one.sql", "select 1 as one")
    assert project.dbt("build", "--write-json").success
    results = project.folder / "target/run_results.json"
    before = results.read_bytes()
    assert stage_model(project, "minilm", "--dry-run").returncode == 0
    assert results.read_bytes() == before
