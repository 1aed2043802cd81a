"""The operations on DuckDB: verify, status and drop_unused, as `dbt run-operation` calls them."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import makers
import pytest
from duckdb_projects import NAME, Project, Run, make_project, stage
from makers import Artifact, golden_of
from tf_embeddings_udf import Embedder

TEXTS = ["the quick brown fox", "a person on a sunny day", "where is my invoice"]
LITERT_VERSION = importlib.metadata.version("ai-edge-litert")
STAGE_IT = "python dbt_packages/tf_embeddings/scripts/stage_model.py {} --write --target dev"


def operation(project: Project, name: str, **arguments: object) -> Run:
    """Call an operation; its arguments are what a user writes after --args, as YAML."""
    return project.dbt("run-operation", f"tf_embeddings.{name}", "--args", json.dumps(arguments))


@pytest.fixture(scope="module")
def golden(tiny_embedder: Embedder) -> dict[str, Any]:
    return golden_of(tiny_embedder, TEXTS)


@pytest.fixture(scope="module")
def verifiable(
    litert_tokens_model: tuple[Path, dict[str, Any]],
    golden: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Artifact:
    """The tiny model with its golden vectors."""
    folder = tmp_path_factory.mktemp("verifiable")
    return makers.write_artifact(*litert_tokens_model, folder, golden=golden)


@pytest.fixture(scope="module")
def tampered(
    litert_tokens_model: tuple[Path, dict[str, Any]],
    golden: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Artifact:
    """The same model, with one golden component that is off by 1e-3."""
    vectors = [list(vector) for vector in golden["vectors"]]
    vectors[1][2] += 1e-3
    return makers.write_artifact(
        *litert_tokens_model,
        tmp_path_factory.mktemp("tampered"),
        model="tampered",
        golden={**golden, "vectors": vectors},
    )


@pytest.fixture
def project(tmp_path: Path, verifiable: Artifact) -> Project:
    """A project whose only model is staged and pinned."""
    return make_project(tmp_path / "project", artifacts=[verifiable])


def test_verify_prints_one_line_for_each_model(
    project: Project, verifiable: Artifact, tampered: Artifact
) -> None:
    project.pin(tiny=verifiable.pin(), tampered=stage(project, tampered))
    run = operation(project, "verify", tolerance="1e-2")

    assert run.success, run.errors
    begins = [f"{one.model} {one.version} {one.build}: 3 texts," for one in (verifiable, tampered)]
    assert [line[: len(begin)] for line, begin in zip(run.said, begins, strict=True)] == begins
    assert "largest difference 0 (tolerance 0.01)" in run.said[0]
    assert "largest difference 0.001 (tolerance 0.01)" in run.said[1]
    for line in run.said:
        assert f"(tolerance 0.01), LiteRT {LITERT_VERSION}, Python 3." in line
        assert all(word in line for word in ("NumPy 2.", "memory"))


def test_numbers_are_written_with_two_digits(project: Project) -> None:
    """As '%.2g' does, which dbt v2 does not know."""
    numbers = [0.0, 0.5, 0.999, 0.01, 0.00997, 0.001, 1.234e-4, 1e-5, 9.96e-6, 1.2345e-7, 3e-38]
    calls = "|".join(f"{{{{ tf_embeddings._scientific({number!r}) }}}}" for number in numbers)
    [row] = project.show(f"select '{calls}' as written")
    assert row["written"].split("|") == [f"{number:.2g}" for number in numbers]


def test_verify_names_the_engine_that_ran(
    tmp_path: Path,
    saved_tokens_model: tuple[Path, dict[str, Any]],
    golden: dict[str, Any],
) -> None:
    on_tensorflow = makers.write_artifact(*saved_tokens_model, tmp_path / "stage", golden=golden)
    run = operation(make_project(tmp_path / "project", artifacts=[on_tensorflow]), "verify")

    assert run.success, run.errors
    [line] = run.said
    assert f"(tolerance 1e-05), TensorFlow {importlib.metadata.version('tensorflow')}, " in line


def test_verify_names_the_engine_of_an_artifact_of_the_release_before(
    project: Project, verifiable: Artifact
) -> None:
    """On Snowflake its check function stays: the runtime in it says `tensorflow`, its version."""
    report = {
        **{"model": "tiny", "version": verifiable.version, "build": verifiable.build},
        **{"texts": 3, "largest_difference": 0.0, "mismatches": [], "memory_bytes": None},
        **{"tensorflow": "2.21.0", "python": "3.11.9", "numpy": "2.4.6", "processor": "x86_64"},
    }
    project.write(
        "macros/_golden_report.sql",
        "{% macro duckdb___golden_report(pin, inventory, grant) %}"
        f"{{{{ return({json.dumps(json.dumps(report))}) }}}}"
        "{% endmacro %}",
    )
    order = {"macro_namespace": "tf_embeddings", "search_order": [NAME, "tf_embeddings"]}
    project.configure(dispatch=[order])
    run = operation(project, "verify")

    assert run.success, run.errors
    [line] = run.said
    assert "(tolerance 1e-05), TensorFlow 2.21.0, Python 3.11.9, NumPy 2.4.6, x86_64" in line


def test_verify_fails_beyond_the_tolerance_and_says_what_to_do(
    project: Project, verifiable: Artifact, tampered: Artifact
) -> None:
    project.pin(tampered=stage(project, tampered), tiny=verifiable.pin())
    run = operation(project, "verify")

    assert not run.success
    assert (
        f"verify: model 'tampered' (version {tampered.version}, build {tampered.build}) gives "
        "other vectors than when it was built: a component differs by 0.001, more than the "
        f"tolerance of 1e-05, on LiteRT {LITERT_VERSION}"
    ) in run.output
    assert f"or stage it again with: {STAGE_IT.format('tampered')}" in run.output
    assert f"tiny {verifiable.version} {verifiable.build}: 3 texts" in run.output
    assert "verify: model 'tiny'" not in run.output


def test_verify_looks_at_the_model_that_is_named(
    project: Project, verifiable: Artifact, tampered: Artifact
) -> None:
    project.pin(tampered=stage(project, tampered), tiny=verifiable.pin())
    run = operation(project, "verify", model="tiny")

    assert run.success, run.errors
    assert "tampered v" not in run.output


def test_verify_fails_where_a_golden_text_has_another_number_of_tokens(
    tmp_path: Path, litert_tokens_model: tuple[Path, dict[str, Any]], golden: dict[str, Any]
) -> None:
    counts = [golden["token_counts"][0] + 1, *golden["token_counts"][1:]]
    artifact = makers.write_artifact(
        *litert_tokens_model, tmp_path / "stage", golden={**golden, "token_counts": counts}
    )
    run = operation(make_project(tmp_path / "project", artifacts=[artifact]), "verify")

    assert not run.success
    assert (
        "gives 1 of its 3 golden texts a vector or a number of tokens that they did not have when "
        "it was built, on LiteRT"
    ) in run.output


def test_verify_of_what_is_not_staged_says_how_to_stage_it(
    project: Project, verifiable: Artifact
) -> None:
    project.pin(tiny={**verifiable.pin(), "build": "b0123456789ab"})
    run = operation(project, "verify")

    assert not run.success
    assert "scripts/stage_model.py tiny --write" in run.output


@pytest.mark.parametrize("tolerance", ["small", 0, -1, True, None, "nan", "inf"])
def test_verify_refuses_what_is_no_tolerance(project: Project, tolerance: object) -> None:
    run = operation(project, "verify", tolerance=tolerance)

    assert not run.success
    assert f"verify: tolerance is {tolerance!r}; it must be a number above 0" in run.output


def test_verify_refuses_a_model_that_is_not_pinned(project: Project) -> None:
    run = operation(project, "verify", model="use")

    assert "verify: model 'use' is not in var tf_embeddings_models (it has: tiny)" in run.output


def test_verify_refuses_a_project_without_pins(project: Project) -> None:
    project.configure(vars={})
    run = operation(project, "verify")

    assert not run.success
    assert "verify: var tf_embeddings_models has no models." in run.output


def test_what_the_staging_cli_asks_is_answered_for_a_pin_that_the_project_has_not(
    project: Project, tampered: Artifact
) -> None:
    project.configure(vars={})
    pin = stage(project, tampered)
    run = operation(project, "_verify_staged", model="tampered", pin=pin, tolerance=0.01)
    beyond = operation(project, "_verify_staged", model="tampered", pin=pin)

    assert run.success, run.errors
    assert answer(run)["problem"] is None
    assert answer(run)["report"]["largest_difference"] == pytest.approx(1e-3, rel=1e-3)
    assert answer(run)["line"].startswith(f"tampered {tampered.version} {tampered.build}: 3 texts")
    assert beyond.success, beyond.errors
    assert "gives other vectors than when it was built" in answer(beyond)["problem"]


def test_what_the_staging_cli_asks_is_refused_for_a_pin_that_is_none(project: Project) -> None:
    pin = {"version": "v0'; drop table x; --", "build": "b0123456789ab"}
    run = operation(project, "_verify_staged", model="tiny", pin=pin)

    assert not run.success
    assert "verify: the pin of model 'tiny' in var tf_embeddings_models has version" in run.output


def answer(run: Run) -> dict[str, Any]:
    [line] = [text for text in run.printed if text.startswith("tf_embeddings_answer ")]
    return json.loads(line.removeprefix("tf_embeddings_answer "))


def test_status_of_a_model_that_can_run(project: Project, verifiable: Artifact) -> None:
    run = operation(project, "status")

    assert run.success, run.errors
    size = f"{verifiable.path.stat().st_size / 1000:.1f} kB"
    assert run.said == [
        f"Target dev (duckdb): the stage folder '{project.stage}'.",
        "model  version        build          pinned  staged   function  state",
        f"tiny   {verifiable.version}  {verifiable.build}  yes     {size:7}  yes       ok",
    ]


def test_status_says_what_differs_and_fails(
    project: Project, verifiable: Artifact, tampered: Artifact
) -> None:
    other_version = "v0123456789ab"
    stage(project, tampered)
    project.pin(
        tiny={**verifiable.pin(), "version": other_version},
        missing={**verifiable.pin(), "build": "b0123456789ab"},
    )
    run = operation(project, "status")

    assert not run.success
    tiny, missing, unused = (line.split() for line in table(run))
    assert tiny[:4] == ["tiny", other_version, verifiable.build, "yes"]
    assert " ".join(tiny).endswith(
        f"wrong pin: its build is staged as version {verifiable.version}; correct the pin"
    )
    assert missing == [
        *("missing", verifiable.version, "b0123456789ab", "yes", "no", "no"),
        *("not", "staged:", *STAGE_IT.format("missing").split()),
    ]
    assert unused[:4] == ["tampered", tampered.version, tampered.build, "no"]
    assert "no pin names it" in " ".join(unused)
    assert (
        "status: 2 of 2 pinned models cannot run: tiny, missing. The table above says what to do."
    ) in run.output


def table(run: Run) -> list[str]:
    """Return the rows of status' table, without its header."""
    start = next(place for place, line in enumerate(run.said) if line.startswith("model "))
    return run.said[start + 1 :]


def test_status_sees_a_pin_of_other_dimensions(project: Project, verifiable: Artifact) -> None:
    project.pin(tiny={**verifiable.pin(), "dimensions": 9})
    run = operation(project, "status")

    assert not run.success
    assert "wrong pin: it has 8 dimensions, the pin says 9" in run.output


def test_status_sees_an_artifact_that_cannot_be_read(
    project: Project, verifiable: Artifact
) -> None:
    staged = project.stage / verifiable.path.relative_to(verifiable.stage)
    staged.unlink()  # a hard link to the fixture's
    staged.write_bytes(b"half an upload")
    run = operation(project, "status")

    assert not run.success
    assert f"damaged: stage it again with: {STAGE_IT.format('tiny')}" in run.output


def test_status_runs_what_it_says_is_ok(project: Project, verifiable: Artifact) -> None:
    staged = project.stage / verifiable.path.relative_to(verifiable.stage)
    content = bytearray(verifiable.path.read_bytes())
    content[len(content) // 2] ^= 0xFF  # in the model: the manifest can be read
    staged.unlink()  # a hard link to the fixture's
    staged.write_bytes(content)
    run = operation(project, "status")

    assert not run.success
    assert table(run)[0].split("yes       ")[1].startswith("cannot run: ")
    assert STAGE_IT.format("tiny").removesuffix(" --write --target dev") in table(run)[0]


def test_status_of_a_project_with_nothing_at_all(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    run = operation(project, "status")

    assert run.success, run.errors
    assert run.said == [
        f"Target dev (duckdb): the stage folder '{project.stage}'.",
        "No model is pinned in var tf_embeddings_models.",
    ]


def test_drop_unused_lists_and_leaves_all_in_place(
    project: Project, verifiable: Artifact, tampered: Artifact
) -> None:
    stage(project, tampered)
    before = files(project)
    run = operation(project, "drop_unused")

    assert run.success, run.errors
    assert run.said == [
        f"unused: file {place(tampered)} (no pin names it)",
        "Nothing was dropped. Other projects or targets may still use these: check, then drop with "
        "--args '{drop: true}'.",
    ]
    assert files(project) == before


def test_drop_unused_drops_what_no_pin_names_and_nothing_else(
    project: Project, verifiable: Artifact, tampered: Artifact
) -> None:
    stage(project, tampered)
    project.write(f"stage/{tampered.model}/{tampered.version}/notes.txt", "mine")
    project.write(f"stage/{tampered.model}/{tampered.version}/{tampered.model}-copy.zip", "mine")
    project.write("stage/other/tampered-b0123456789ab.zip", "mine")
    run = operation(project, "drop_unused", drop=True)
    again = operation(project, "drop_unused", drop=True)

    assert run.success, run.errors
    assert run.said == [f"dropped: file {place(tampered)} (no pin names it)"]
    assert files(project) == sorted(
        [
            place(verifiable),
            f"{tampered.model}/{tampered.version}/notes.txt",
            f"{tampered.model}/{tampered.version}/{tampered.model}-copy.zip",
            "other/tampered-b0123456789ab.zip",
        ]
    )
    assert again.success, again.errors
    assert again.said == [f"Nothing is unused in the stage folder '{project.stage}'."]


def test_drop_unused_keeps_a_pinned_build_that_another_version_has(
    project: Project, verifiable: Artifact
) -> None:
    project.pin(tiny={**verifiable.pin(), "version": "v0123456789ab"})
    run = operation(project, "drop_unused", drop=True)

    assert run.success, run.errors
    assert files(project) == [place(verifiable)]


def test_drop_unused_drops_nothing_where_nothing_is_pinned(
    project: Project, verifiable: Artifact
) -> None:
    project.configure(vars={})
    run = operation(project, "drop_unused", drop=True)
    listing = operation(project, "drop_unused")

    assert not run.success
    assert (
        "drop_unused: var tf_embeddings_models has no models, so everything would be dropped. Run "
        "it in the project that pins the models in use."
    ) in run.output
    assert listing.success, listing.errors
    assert f"unused: file {place(verifiable)}" in listing.output
    assert files(project) == [place(verifiable)]


def test_drop_unused_refuses_where_another_role_manages(
    project: Project, verifiable: Artifact, tampered: Artifact
) -> None:
    stage(project, tampered)
    project.configure(
        vars={
            "tf_embeddings_models": {"tiny": verifiable.pin()},
            "tf_embeddings_manage": False,
        }
    )
    run = operation(project, "drop_unused", drop=True)

    assert not run.success
    assert "drop_unused: var tf_embeddings_manage is false" in run.output
    assert files(project) == sorted([place(verifiable), place(tampered)])


def test_drop_unused_refuses_what_is_neither_true_nor_false(project: Project) -> None:
    run = operation(project, "drop_unused", drop="maybe")

    assert not run.success
    assert (
        "drop_unused: drop is 'maybe'; it must be true, to drop, or false, to list."
    ) in run.output


@pytest.mark.parametrize("name", ["verify", "status", "drop_unused"])
def test_an_operation_needs_the_plugin(tmp_path: Path, verifiable: Artifact, name: str) -> None:
    project = make_project(tmp_path / "project", plugin=False)
    project.pin(tiny=verifiable.pin())
    run = operation(project, name)

    assert not run.success
    assert f"{name}: target 'dev' of profile 'a_project' does not load the plugin" in run.output


def place(artifact: Artifact) -> str:
    return artifact.path.relative_to(artifact.stage).as_posix()


def files(project: Project) -> list[str]:
    """Return what is on the stage, but what was unpacked of it."""
    found = (path.relative_to(project.stage) for path in project.stage.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if path.parts[0] != ".cache")
