"""The demo as a reader runs it: staged by the CLI, built by dbt, its tables read by DuckDB."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import makers
import numpy as np
import pytest
import staging_cli
from snowflake_projects import LocalSnowflake
from tf_embeddings_staging.warehouse import pin

ROOT = Path(__file__).parents[1]
DBT = Path(sys.executable).with_name("dbt")
NOT_COPIED = shutil.ignore_patterns(
    ".*", "__pycache__", "target", "logs", "dbt_packages", "*.duckdb*", "tf_embeddings_stage"
)

# The share of definitions whose nearest neighbor is in the same category: 0.54 was measured with
# Sentence Transformers; 0.025 is what chance gives with 40 categories of one size.
CATEGORY_AGREEMENT = 0.5

# The share whose category is that of most of its ten nearest neighbors, as NumPy computes it here.
PREDICTED = 0.59

# How far a component may be from the same text's in another batch, process or warehouse.
SAME_VECTOR = 1e-6

# Of MiniLM since release 0.1, which ran it on TensorFlow: a store that was filled then is current.
VERSION = "v98eb59103c31"

# Prints whether the build had to load the model, and what it ran on.
BUILD_AND_TELL = """\
import sys
from dbt.cli.main import dbtRunner
result = dbtRunner().invoke(
    ["--quiet", "build", "--select", "+glosses_embedded_incremental"]
    + ["--resource-type", "seed", "--resource-type", "model"]
)
print("LiteRT was loaded:", "ai_edge_litert" in sys.modules)
print("TensorFlow was loaded:", "tensorflow" in sys.modules)
sys.exit(not result.success)
"""


def run(folder: Path, *command: str | Path, **variables: str) -> str:
    """Run a command in a folder and return what it prints; fail with it where it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "DBT_USE_COLORS": "false", "TF_CPP_MIN_LOG_LEVEL": "2", **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def query(demo: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(demo / "demo.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@dataclass(frozen=True)
class Built:
    """The demo after `make demo`, whose `dbt build` ran all data tests and unit tests."""

    demo: Path
    said: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.demo, sql)

    def column(self, sql: str) -> list[Any]:
        return [value for (value,) in self.rows(sql)]


def make_demo(repository: Path, target: str = "duckdb", **variables: str) -> str:
    """Run the README's command, in the Python environment of these tests; a warning fails it."""
    command = f"make --no-print-directory demo TARGET={target} VENV='{sys.prefix}' 2>&1"
    return run(repository, "sh", "-c", command, DBT_WARN_ERROR="true", **variables)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return the demo of a fresh copy of the repository, as `make demo` leaves it."""
    repository = tmp_path_factory.mktemp("checkout") / "tf_embeddings"
    shutil.copytree(ROOT, repository, ignore=NOT_COPIED)
    shutil.copy(ROOT / ".gitignore", repository)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    run(repository, "git", "init", "--quiet")
    run(repository, "git", "add", ".")
    run(repository, "git", *author, "commit", "--quiet", "--message", "a fresh clone")
    return Built(repository / "demo", make_demo(repository))


@pytest.fixture(scope="module")
def staged(built: Built) -> Path:
    """Return the folder of the demo, with MiniLM staged and pinned."""
    return built.demo


def test_staging_writes_the_pin_and_keeps_the_comments(staged: Path) -> None:
    before = (ROOT / "demo" / "dbt_project.yml").read_text("utf-8")
    after = (staged / "dbt_project.yml").read_text("utf-8")
    kept = before.partition("\nvars:")[0].rstrip()

    assert after.startswith(kept)
    assert "  tf_embeddings_models:\n    minilm:\n      version: v" in after


def test_the_pin_in_git_is_what_the_code_makes(staged: Path) -> None:
    """On every machine: a build is a digest of nothing that a machine decides."""
    in_git = (ROOT / "demo" / "dbt_project.yml").read_text("utf-8")
    assert (staged / "dbt_project.yml").read_text("utf-8") == in_git, (
        "MiniLM comes out as another build than demo/dbt_project.yml pins, for the code or the "
        "versions of its packages have changed: run `make demo` and commit the pin."
    )


def test_make_demo_changes_no_other_file_in_git(staged: Path) -> None:
    changed = run(staged.parent, "git", "status", "--porcelain").splitlines()
    assert set(changed) <= {" M demo/dbt_project.yml"}


def test_the_version_is_that_of_the_first_release(staged: Path) -> None:
    for folder in (ROOT / "demo", staged):
        assert f"      version: {VERSION}\n" in (folder / "dbt_project.yml").read_text("utf-8")


def test_the_whole_project_builds_with_no_warning(built: Built) -> None:
    assert "Completed successfully" in built.said
    assert "WARN=0 ERROR=0 SKIP=0" in built.said


def test_every_column_is_described(built: Built) -> None:
    """As `dbt docs` shows the demo and the package: its models, its seeds and the store."""
    manifest = json.loads((built.demo / "target" / "manifest.json").read_text("utf-8"))
    relations = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed")
        and node["config"]["materialized"] != "ephemeral"
    ]

    assert len(relations) > 8
    for node in relations:
        columns = built.column(f"select column_name from (describe {node['name']})")
        described = [name for name, column in node["columns"].items() if column["description"]]
        assert node["description"], node["name"]
        assert sorted(described) == sorted(columns), node["name"]


def test_nothing_in_the_project_is_deprecated(staged: Path) -> None:
    said = run(staged, DBT, "parse", "--no-partial-parse", "--show-all-deprecations")
    assert "deprecat" not in said.lower()


def test_staging_it_again_fetches_nothing_and_rebuilds_nothing(built: Built) -> None:
    stage = built.demo / "tf_embeddings_stage"
    before = {path: path.stat().st_mtime_ns for path in stage.rglob("*")}

    done = staging_cli.call(built.demo, "minilm", "--write")
    assert done.returncode == 0, done.stderr
    said = done.stderr

    assert "minilm: built before, taken from " in said
    assert "minilm is staged already: " in said
    assert "The pin of minilm is in " in said
    assert "Fetching" not in said
    assert "Converting" not in said
    assert {path: path.stat().st_mtime_ns for path in stage.rglob("*")} == before


def test_the_map_is_where_the_last_line_says_and_in_the_docs(built: Built) -> None:
    last = built.said.splitlines()[-1]
    assert last == "A map of the definitions: open demo/assets/map.html in a browser."
    page = (built.demo / "assets" / "map.html").read_bytes()
    assert b"<title>A dictionary, by meaning</title>" in page
    assert page.count(b"noun.animal") == 1  # a value, of many points

    run(built.demo, DBT, "--quiet", "docs", "generate", "--static")
    assert (built.demo / "target" / "assets" / "map.html").read_bytes() == page
    catalog = (built.demo / "target" / "manifest.json").read_text("utf-8")
    assert "[a map of them](assets/map.html)" in catalog


def test_every_definition_has_one_vector_of_384_numbers(built: Built) -> None:
    columns = "select column_name, column_type from (describe glosses_embedded)"
    assert built.rows(columns) == [
        ("gloss_id", "VARCHAR"),
        ("lexname", "VARCHAR"),
        ("lemma", "VARCHAR"),
        ("gloss", "VARCHAR"),
        ("embedding", "FLOAT[384]"),
        ("model_version", "VARCHAR"),
    ]
    counts = "select count(*), count(distinct gloss_id), count(embedding) from glosses_embedded"
    assert built.rows(counts) == [(2000, 2000, 2000)]


def test_definitions_near_in_meaning_share_a_category(built: Built) -> None:
    rows = built.rows("select lexname, embedding from glosses_embedded order by gloss_id")
    categories = np.array([lexname for lexname, _ in rows])
    vectors = np.array([embedding for _, embedding in rows])
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)

    agreement = np.mean(categories[cosines.argmax(axis=1)] == categories)
    assert agreement > CATEGORY_AGREEMENT


def neighbors_of(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the most similar other rows, best first, and their cosines."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    indices = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return indices, np.take_along_axis(cosines, indices, axis=1)


def test_categories_are_predicted_from_neighbors(built: Built) -> None:
    rows = built.rows("select lexname, embedding from glosses_embedded order by gloss_id")
    names, categories = np.unique([lexname for lexname, _ in rows], return_inverse=True)
    neighbors, weights = neighbors_of(np.array([embedding for _, embedding in rows]), 10)
    votes = np.zeros((len(rows), len(names)))
    for row, (indices, weight) in enumerate(zip(neighbors, weights, strict=True)):
        np.add.at(votes[row], categories[indices], weight)
    expected = np.mean(votes.argmax(axis=1) == categories)

    measured = "select definitions, categories, accuracy from category_accuracy"
    [(definitions, count, accuracy)] = built.rows(measured)
    assert (definitions, count) == (2000, len(names))
    assert float(accuracy) == pytest.approx(expected, abs=0.002)  # near ties may fall either way
    assert float(accuracy) > PREDICTED
    sentence = f"for {accuracy:.0%} of 2,000 definitions; guessing would for 3%."
    assert sentence in " ".join(built.said.split())


def test_near_duplicates_are_found_once(built: Built) -> None:
    rows = built.rows(
        "select gloss_id, embedding from glosses_embedded "
        "order by split_part(lexname, '.', 1), gloss_id"
    )
    ids = [gloss_id for gloss_id, _ in rows]
    vectors = np.array([embedding for _, embedding in rows])
    cosines = vectors @ vectors.T
    expected = {
        (ids[one], ids[other])
        for one, other in np.argwhere(np.triu(cosines >= 0.9, k=1))
        if ids[one][0] == ids[other][0]
    }

    found = built.rows("select gloss_id, other_gloss_id from near_duplicate_glosses")
    assert sorted(found) == sorted(expected)
    assert ("n10193967", "n10780632") in expected
    assert "husband     1.00  a married man; a woman's partner in marriage" in built.said


def test_the_store_has_each_definition_once(built: Built) -> None:
    counts = "select count(*), count(distinct text_hash), count(embedding) from embedding_store"
    assert built.rows(counts) == [(2000, 2000, 2000)]
    metrics = "select texts, blank, failed, truncated, total_texts from embedding_store_metrics"
    assert built.rows(metrics) == [(2000, 0, 0, 0, 2000)]


def test_each_question_finds_its_word(built: Built) -> None:
    best = "select lemma from search_results where rank = 1 order by question_id"
    assert built.column(best) == ["harbor", "owl", "dream", "shrug", "logorrhea", "cemetery"]
    answers = "select distinct count(*) from search_results group by question_id"
    assert built.column(answers) == [3]


def test_the_incremental_model_gives_the_same_vectors(built: Built) -> None:
    [(rows, largest)] = built.rows(
        """
        select count(*), max(array_distance(one.embedding, other.embedding))
        from glosses_embedded as one
        inner join glosses_embedded_incremental as other using (gloss_id)
        """
    )
    assert rows == 2000
    assert largest < 1e-5


def test_the_results_are_printed_question_by_question(built: Built) -> None:
    assert "Which bird is awake all night?" in built.said
    assert "owl          0.66  nocturnal bird of prey" in built.said


@pytest.mark.parametrize("page", ["README.md", "docs/get-started/no-account.md"])
def test_the_answers_on_a_page_are_those_of_the_demo(built: Built, page: str) -> None:
    said = " ".join(built.said.split())
    text = (ROOT / page).read_text("utf-8")
    shown = re.findall(r"(\w+) +(0\.\d\d) +([a-z].+?)(?:…|  |$)", text, re.M)
    assert {"harbor", "blow", "coast"} <= {word for word, _, _ in shown}
    for word, similarity, definition in shown:
        assert f"{word} {similarity} {definition.strip()}" in said


def test_the_demo_runs_from_the_folder_above(built: Built) -> None:
    top = built.demo.parent
    inline = """select {{ tf_embeddings.embed("'hello'") }} as v"""
    folders = ["--project-dir", "demo", "--profiles-dir", "demo"]
    said = run(top, DBT, "--quiet", "show", *folders, "--inline", inline, "--output", "json")

    vector = json.loads(json.loads(said)["show"][0]["v"])
    assert len(vector) == 384
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert not list(top.glob("*.duckdb"))
    assert not (top / "tf_embeddings_stage").exists()


@pytest.fixture(scope="module")
def built_on_snowflake(built: Built, local_snowflake: LocalSnowflake) -> str:
    """Build the same demo on the local Snowflake, and return what that printed."""
    port = str(local_snowflake.port)
    return make_demo(built.demo.parent, "local_snowflake", LOCAL_SNOWFLAKE_PORT=port)


@pytest.mark.exhaustive
def test_the_demo_builds_on_snowflake_with_the_same_pin(
    built: Built, built_on_snowflake: str
) -> None:
    """A second `make demo` in the same folder."""
    assert "Completed successfully" in built_on_snowflake
    assert "WARN=0 ERROR=0 SKIP=0" in built_on_snowflake
    assert "The pin of minilm is in " in built_on_snowflake
    panel = built.said.partition("╭")[2]
    assert built_on_snowflake.partition("╭")[2] == panel


@pytest.mark.exhaustive
@pytest.mark.usefixtures("built_on_snowflake")
def test_both_engines_have_the_same_rows_and_vectors(
    built: Built, local_snowflake: LocalSnowflake
) -> None:
    for table in ("glosses_embedded", "glosses_embedded_incremental"):
        sql = f"select gloss_id, gloss, embedding from {table} order by gloss_id"
        *here, vectors_here = zip(*built.rows(sql), strict=True)
        rows = local_snowflake.execute(sql, database="demo", schema="dbt")
        *there, vectors_there = zip(*rows, strict=True)

        assert there == here
        difference = np.abs(np.array(vectors_there) - np.array(vectors_here)).max()
        assert difference < SAME_VECTOR


@pytest.mark.exhaustive
@pytest.mark.usefixtures("built_on_snowflake")
def test_both_engines_find_the_same_neighbors(
    built: Built, local_snowflake: LocalSnowflake
) -> None:
    sql = "select question_id, rank, gloss_id, similarity from search_results order by 1, 2"
    *here, similar_here = zip(*built.rows(sql), strict=True)
    rows = local_snowflake.execute(sql, database="demo", schema="dbt")
    *there, similar_there = zip(*rows, strict=True)

    assert there == here
    assert similar_there == pytest.approx(similar_here, abs=SAME_VECTOR)


def build_incremental(demo: Path) -> bool:
    """Build the incremental model; return whether that called the model, so loaded LiteRT."""
    said = run(demo, sys.executable, "-c", BUILD_AND_TELL)
    assert "TensorFlow was loaded: False" in said
    return "LiteRT was loaded: True" in said


def embedded(demo: Path) -> dict[str, tuple[str, ...]]:
    """Return gloss, embedding, version and time of embedding, as text, by gloss_id."""
    rows = query(
        demo,
        """
        select gloss_id, gloss, embedding::varchar, model_version, embedded_at::varchar
        from glosses_embedded_incremental
        """,
    )
    return {gloss_id: tuple(rest) for gloss_id, *rest in rows}


def copy_demo(demo: Path, to: Path, *, but: str = "") -> None:
    """Copy a demo's folder; its stage, whose files never change, by links."""
    stage = "tf_embeddings_stage"
    shutil.copytree(demo, to, symlinks=True, ignore=shutil.ignore_patterns(stage, but))
    shutil.copytree(demo / stage, to / stage, copy_function=os.link)


def write_seed(demo: Path, rows: list[list[str]]) -> None:
    with (demo / "seeds" / "glosses.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["gloss_id", "lexname", "lemma", "gloss"], *rows])


BIRD = ["n1", "noun.animal", "bird", "an animal with feathers and wings"]
FISH = ["n2", "noun.animal", "fish", "an animal that lives in water"]
OAK = ["n3", "noun.plant", "oak", "a tree that bears acorns"]


@pytest.fixture(scope="module")
def small_once(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a demo with three definitions, its incremental model built once."""
    demo = tmp_path_factory.mktemp("small") / "demo"
    copy_demo(staged, demo, but="demo.duckdb")
    write_seed(demo, [BIRD, FISH, OAK])
    assert build_incremental(demo)
    return demo


@pytest.fixture
def small(small_once: Path, tmp_path: Path) -> Path:
    """Return the folder of a copy that a test may change."""
    copy_demo(small_once, tmp_path / "demo")
    return tmp_path / "demo"


def test_the_incremental_model_embeds_only_new_and_changed_rows(small: Path) -> None:
    first = embedded(small)
    assert sorted(first) == ["n1", "n2", "n3"]

    assert not build_incremental(small)
    assert embedded(small) == first

    tulip = ["n4", "noun.plant", "tulip", "a plant that grows from a bulb"]
    other_fish = [*FISH[:3], "a cold-blooded animal with gills"]
    renamed_bird = [*BIRD[:2], "fowl", BIRD[3]]
    write_seed(small, [renamed_bird, other_fish, tulip])  # and the oak is gone

    assert build_incremental(small)
    second = embedded(small)
    assert sorted(second) == ["n1", "n2", "n3", "n4"]
    assert {gloss_id for gloss_id in first if second[gloss_id] != first[gloss_id]} == {"n2"}
    gloss, vector, version, time = second["n2"]
    assert gloss == other_fish[3]
    assert vector != first["n2"][1]
    assert version == first["n2"][2]
    assert time > first["n2"][3]


def test_the_incremental_model_embeds_all_rows_again_when_the_pin_names_another_version(
    small: Path, tmp_path: Path
) -> None:
    first = embedded(small)
    parameters = makers.save_tokens_model(tmp_path / "model", dimensions=384)
    converted = makers.convert(tmp_path / "model", parameters, tmp_path / "converted")
    stage = small / "tf_embeddings_stage"
    another = makers.write_artifact(*converted, stage, model="minilm")
    new_pin = {"version": another.version, "build": another.build}
    assert pin.write(small / "dbt_project.yml", "minilm", new_pin)

    assert build_incremental(small)

    second = embedded(small)
    assert second.keys() == first.keys()
    assert {version for _, _, version, _ in second.values()} == {another.version}
    assert all(second[gloss_id][1] != first[gloss_id][1] for gloss_id in first)
