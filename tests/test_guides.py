"""What the guides promise, on their finished projects; test_pages.py runs each page."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import duckdb
import pytest
import yaml
from pages import LIGHT, ROOT, Block, Finished, Place, Reader, parse
from test_macros_install import PUBLIC
from tf_embeddings_staging.building.engine import choose_engine
from tf_embeddings_staging.catalogue import Entry, catalogue
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report

DIAGRAMS = ["artifact", "planner", "run"]


def page(name: str) -> str:
    return f"docs/guides/{name}.md"


def text(name: str) -> str:
    return (ROOT / page(name)).read_text(encoding="utf-8")


def section(name: str, title: str) -> str:
    """Return a section of a guide, up to the next heading of its level."""
    _, found, rest = text(name).partition(f"\n## {title}\n")
    assert found, title
    return rest.partition("\n## ")[0]


def blocks(name: str, title: str) -> list[Block]:
    """Return a guide's blocks with this title, or in this language."""
    found = [part for part in parse(page(name)) if isinstance(part, Block)]
    return [block for block in found if title in (block.title, block.language)]


def rows_of(table: str) -> list[list[str]]:
    """Return the cells of a Markdown table, without its heading."""
    lines = re.findall(r"^\| (.*) \|$", table, re.M)
    return [line.split(" | ") for line in lines][1:]


# Choose a model.


def shown(number: float | str | None) -> str:
    if isinstance(number, int | float):
        return f"{number:,}".removesuffix(".0")
    return number or "-"


def told_of(entry: Entry) -> list[str]:
    """Return the cells of a model's row."""
    numbers = (entry.megabytes, entry.token_limit, entry.speed, entry.quality)
    return [
        f"`{entry.name}`",
        str(entry.dimensions),
        *map(shown, numbers),
        f"`{entry.kind}`",
        "checked" if entry.verified else "not checked",
        entry.about,
    ]


def test_the_catalogue_is_listed_as_it_is() -> None:
    catalogued = section("choose-a-model", "The catalogue")
    assert rows_of(catalogued) == [told_of(entry) for entry in catalogue().values()]
    one_line = " ".join(catalogued.split())
    (mit,) = re.findall(r"MIT for (.*?), Apache-2.0 for all others", one_line)
    licenses = {name: entry.license for name, entry in catalogue().items()}
    assert {name for name in licenses if licenses[name] == "MIT"} == {*re.findall(r"`(\w+)`", mit)}
    assert {*licenses.values()} == {"MIT", "Apache-2.0"}


def test_the_models_that_are_advised_are_in_the_catalogue() -> None:
    advice = text("choose-a-model").partition("\n## ")[0]
    named = {name for row in rows_of(advice) for name in re.findall(r"`(\w+)`", row[1])}
    assert named <= {*catalogue()}
    assert len(named) > 5


def test_the_figures_of_minilm_are_those_of_the_measured_table() -> None:
    [measured] = [
        cells
        for cells in rows_of(section("performance", "The runtime"))
        if cells[0] == "tf_embeddings on LiteRT"
    ]
    told = {row[0]: row[1] for row in rows_of(section("choose-a-model", "What was measured"))}
    glosses, descriptions, one, _, _, mixed = measured[1:]
    assert told["dictionary definitions, texts a second"] == glosses
    assert told["package descriptions (a paragraph), texts a second"] == descriptions
    assert told["one text"] == one
    assert told["memory of a process after 600 mixed texts"] == mixed


def test_the_memory_and_size_of_models_are_those_that_were_measured() -> None:
    measured = {
        cells[0].split(",")[0]: cells[1:] for cells in rows_of(section("performance", "Models"))
    }
    told = {row[0]: row[1:] for row in rows_of(section("choose-a-model", "What was measured"))}
    for place, model in enumerate(("wordllama", "mpnet"), start=1):
        _, memory, artifact, *_ = measured[f"`{model}`"]
        assert told["memory of a process after 600 mixed texts"][place] == memory
        assert told["size of the artifact"][place] == artifact


# Stage a model.


def test_the_lines_on_the_engine_are_what_staging_says(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = (block.text.splitlines() for block in blocks("stage-a-model", "text"))
    assert shown[0].startswith("Engine of minilm: LiteRT. Its vectors are TensorFlow's: on 315 ")

    use = catalogue()["use"]
    model, nowhere = Model(use.kind, {}, name=use.name), Path("nowhere")
    choose_engine(model, nowhere, nowhere, Report(), Options(), Limits())
    assert f"{shown[1]}\n" in capsys.readouterr().err


def test_a_model_of_ones_own_embeds(finished: Finished) -> None:
    place = finished(page("stage-a-model"))
    sql = "select distinct len(embedding), model_version from tickets_by_words"
    pins = yaml.safe_load((place.project / "dbt_project.yml").read_text())["vars"]
    assert place.rows(f"{sql} where embedding is not null") == [
        (16, pins["tf_embeddings_models"]["mine"]["version"])
    ]
    assert place.rows("select count(embedding) > 140 from tickets_by_words") == [(True,)]


# The store and search.


def test_the_store_has_each_text_once(finished: Finished) -> None:
    place = finished(page("store"))
    texts = place.rows("select body from tickets union select title from tickets")
    hashes = {hashlib.sha256(one.encode()).hexdigest() for (one,) in texts if one is not None}
    stored = place.rows("select text_hash from embedding_store")
    assert {one for (one,) in stored} == hashes
    assert len(stored) == len(hashes)
    [(tickets, bodies, titles)] = place.rows(
        "select count(*), count(embedding), count(title_embedding) from tickets_embedded"
    )
    assert (tickets - 1, tickets) == (bodies, titles)  # one ticket has no body


def test_the_store_has_the_columns_that_are_listed(finished: Finished) -> None:
    cells = [row[0] for row in rows_of(section("store", "What it holds"))]
    columns = finished(page("store")).rows("select column_name from (describe embedding_store)")
    assert [name for (name,) in columns] == re.findall(r"`(\w+)`", " ".join(cells))


def test_the_searches_find_what_is_near(finished: Finished) -> None:
    place = finished(page("search"))
    best = """
        select distinct query_id, category
        from answers inner join tickets on id = neighbor_id
        where neighbor_rank <= 2 order by 1
    """
    assert place.rows(best) == [(1, "card"), (2, "fees")]
    languages = "select lang from answers inner join tickets on id = neighbor_id group by 1"
    assert place.rows(languages) == [("en",)]

    pairs = place.rows("select id_a, id_b from duplicate_tickets order by all")
    alike = [(11, 46), (21, 61), (37, 94), (56, 107), (71, 116), (74, 122)]
    assert pairs == [*alike, (98, 135), (98, 144), (131, 132), (135, 144)]

    [(nearest,)] = place.rows(
        "select id from first_ticket_and_others order by similarity desc limit 1"
    )
    assert nearest == 1


# Upgrade.


def test_the_upgrade_ends_with_the_new_version_and_keeps_the_old_rows(finished: Finished) -> None:
    place = finished(page("upgrade"))
    pins = yaml.safe_load((place.project / "dbt_project.yml").read_text())["vars"]
    new = pins["tf_embeddings_models"]["minilm_64"]["version"]
    versions = "select distinct model_version from tickets_embedded where embedding is not null"
    assert place.rows(versions) == [(new,)]
    counted = place.rows("select count(*) from embedding_store group by model_version")
    assert len(counted) == 2
    assert len({*counted}) == 1


def test_the_switch_embeds_nothing(finished: Finished) -> None:
    rows = finished(page("upgrade")).rows(
        "select count(distinct invocation_id) from embedding_store group by model_version"
    )
    assert rows == [(1,), (1,)]


# Teams and CI.


def test_a_colleague_and_ci_need_no_tensorflow(finished: Finished, tmp_path: Path) -> None:
    """A clone of the project, the artifact's file, and the environment that requirements.txt is."""
    project = finished(page("store")).project
    share, job = blocks("teams-and-ci", "sh")[:2]
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("dbt_project.yml", "packages.yml", "profiles.yml", "models", "seeds"):
        original = project / name
        copy = shutil.copytree if original.is_dir() else shutil.copyfile
        copy(original, clone / name)
    before = (clone / "dbt_project.yml").read_text()
    (artifact,) = (project / "tf_embeddings_stage").glob("minilm/*/minilm-*.zip")
    assert "minilm-b0123456789ab.zip" in share.text
    (tmp_path / "shared_models").mkdir()
    shutil.copyfile(artifact, tmp_path / "shared_models" / artifact.name)

    assert "requirements-staging.txt" not in job.text
    with Reader(Place(tmp_path), clone, LIGHT) as reader:
        reader.follow(job)

    assert (clone / "dbt_project.yml").read_text() == before
    with duckdb.connect(str(clone / "dev.duckdb"), read_only=True) as connection:
        embedded = connection.execute("select count(*) - count(embedding) from tickets_embedded")
        assert embedded.fetchall() == [(1,)]


# Deployment.


def test_where_dbt_runs_names_the_tests_that_there_are() -> None:
    table = section("deployment", "Where dbt runs")
    rows = rows_of(table)
    assert [row[0] for row in rows] == [
        "a laptop",
        "GitHub Actions",
        "dbt platform",
        "dbt Projects on Snowflake",
        "Airflow",
    ]
    for where, *cells in rows:
        assert len(cells) == 5, where
        files = re.findall(r"`(tests/[^`]*)`", cells[-1])
        assert files or cells[-1] == "from the documents, not run", where
        assert all((ROOT / file).is_file() for file in files), where
    for name in re.findall(r"`(\w+)` (?:by|as)", table):
        assert name in PUBLIC


def test_the_workflow_calls_what_is_there() -> None:
    (workflow,) = blocks("deployment", ".github/workflows/stage_models.yml")
    (profile,) = blocks("deployment", ".github/profiles.yml")
    assert yaml.safe_load(profile.text)["my_project"]["outputs"]["admin"]["private_key"]
    (job,) = yaml.safe_load(workflow.text)["jobs"].values()
    lines = " ".join(step.get("run", "") for step in job["steps"])
    scripts = re.findall(r"dbt_packages/tf_embeddings/(\S+)", lines)
    macros = re.findall(r"tf_embeddings\.(\w+)", lines)
    assert scripts and all((ROOT / path).is_file() for path in scripts)
    assert macros and all([*(ROOT / "macros").rglob(f"{macro}.sql")] for macro in macros)


def test_no_workflow_runs_with_the_branch_of_a_fork() -> None:
    """`head_ref` names a branch that is not here, and a fork's run has neither secrets nor push."""
    (workflow,) = blocks("deployment", ".github/workflows/stage_models.yml")
    (job,) = yaml.safe_load(workflow.text)["jobs"].values()
    assert "github.head_ref" in json.dumps(job)
    assert job["if"] == (
        "github.event_name == 'push' || "
        "github.event.pull_request.head.repo.full_name == github.repository"
    )


# How it works.


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_is_readable_in_light_and_dark_and_loads_nothing(name: str) -> None:
    drawing = (ROOT / "docs" / "assets" / f"{name}.svg").read_text(encoding="utf-8")
    assert f"../assets/{name}.svg" in text("how-it-works")
    assert ET.fromstring(drawing).find("{http://www.w3.org/2000/svg}title") is not None
    assert "prefers-color-scheme: dark" in drawing
    assert re.findall(r"(?:href|src)=|url\((?!#)|@import", drawing) == []
