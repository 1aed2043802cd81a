"""What the recipes promise, on their finished projects; test_pages.py runs each page.

Figures are computed again here with NumPy, from the vectors in the project.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
from jinja2 import Template
from pages import ROOT, Block, Finished, Place, Reader, parse
from snowflake_projects import make_snowflake_project

if TYPE_CHECKING:
    from makers import Artifact
    from snowflake_projects import LocalSnowflake

RECIPES = sorted((ROOT / "docs/recipes").glob("*.md"))
TICKETS = ROOT / "docs/recipes/tickets.csv"

# The near-duplicates among the tickets, as they were written.
DUPLICATES = [
    {11, 46},
    {21, 61},
    {27, 83},
    {37, 94},
    {56, 107},
    {71, 116},
    {74, 122},
    {98, 135, 144},
    {131, 132},
]

# The personal data that masking promises to find, in the order of the tickets.
PERSONAL = {
    34: ["4111 1111 1111 1111"],
    58: ["oliver.brandt@example.com"],
    62: ["DE89 3704 0044 0532 0130 00"],
    77: ["+1 202 555 0143"],
    101: ["dana.whitlock@example.org", "+44 20 7946 0018"],
    112: ["4111-1111-1111-1111"],
    121: ["5500 0000 0000 0004"],
    123: ["h.lindqvist@example.com", "hanna.lindqvist@example.org"],
    137: ["5555 5555 5555 4444"],
    149: ["202-555-0187"],
}


def tickets() -> list[dict[str, str]]:
    with TICKETS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Vectors:
    """The tickets that have a vector, in the order of their ids."""

    def __init__(self, place: Place) -> None:
        rows = place.rows(
            "select id, category, lang, embedding from tickets_embedded "
            "where embedding is not null order by id"
        )
        self.ids = [row[0] for row in rows]
        self.categories = np.array([row[1] for row in rows])
        self.languages = np.array([row[2] for row in rows])
        self.vectors = np.array([row[3] for row in rows], dtype=np.float64)
        self.similarities = self.vectors @ self.vectors.T

    def places(self, ids: list[int]) -> np.ndarray:
        return np.array([self.ids.index(id_) for id_ in ids])

    def accuracy(self, examples: np.ndarray) -> float:
        """Return how often the rule of classify.md is right on the tickets that are no examples."""
        others = np.setdiff1d(np.arange(len(self.ids)), examples)
        names = sorted(set(self.categories))
        scores = np.stack(
            [
                np.sort(
                    self.similarities[np.ix_(others, examples[self.categories[examples] == name])]
                )[:, -2:].mean(axis=1)
                for name in names
            ],
            axis=1,
        )
        predicted = np.array(names)[scores.argmax(axis=1)]
        return float((predicted == self.categories[others]).mean())

    def of_one_category(self, groups: np.ndarray) -> float:
        """Return the share of pairs in one group that are in one category."""
        in_one_group = np.triu(groups[:, None] == groups[None], k=1)
        in_one_category = self.categories[:, None] == self.categories[None]
        return float(in_one_category[in_one_group].mean())


@pytest.fixture(scope="module")
def embedded(finished: Finished) -> Vectors:
    return Vectors(finished("docs/get-started/duckdb.md"))


def test_the_tickets_are_what_the_pages_say() -> None:
    rows = tickets()
    sizes = Counter(row["category"] for row in rows)

    assert [row["id"] for row in rows] == [str(n) for n in range(1, 151)]
    assert len(sizes) == 8
    assert max(sizes.values()) > 4 * min(sizes.values())
    assert {row["lang"] for row in rows} == {"en", "de", "fr"}
    assert [row["id"] for row in rows if not row["body"]] == ["139"]
    assert sorted(row["created_at"] for row in rows) == [row["created_at"] for row in rows]
    for id_, texts in PERSONAL.items():
        assert all(text in rows[id_ - 1]["body"] for text in texts)


def test_categories_are_predicted_as_numpy_does(finished: Finished, embedded: Vectors) -> None:
    place = finished("docs/recipes/classify.md")
    [(accuracy,)] = place.rows("select accuracy from category_accuracy where which = 'all'")
    labels = [id_ for (id_,) in place.rows("select id from labels")]

    assert len(labels) == 20
    assert accuracy >= 0.7
    assert accuracy == pytest.approx(embedded.accuracy(embedded.places(labels)))
    predicted = {id_ for (id_,) in place.rows("select id from predicted_categories")}
    assert predicted == set(range(1, 151)) - set(labels) - {139}


def test_a_label_without_an_id_does_not_stop_all_predictions() -> None:
    """`not in` is never true if the list holds a NULL."""
    model = recipe_files("docs/recipes/classify.md")["models/predicted_categories.sql"]
    tables = """
      create table tickets_embedded as
        select i as id, [i, 1]::float[] as embedding, 'v' as model_version from range(1, 5) as t(i);
      create table labels as
        select * from (values (1, 'app'), (2, 'card'), (null, 'loan')) as t(id, category);
    """
    with duckdb.connect() as connection:
        connection.execute(tables)
        predicted = connection.execute(rendered(model)).fetchall()
    assert sorted(id_ for id_, *_ in predicted) == [3, 4]


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("classify", "'all' as which, cast(null as double) as accuracy"),
        ("demo", "cast(null as double) as accuracy"),
        ("mask-personal-data", "1 as id, cast(null as varchar) as title, 'a@b.org' as body"),
    ],
)
def test_a_data_test_does_not_pass_because_of_a_null(path: str, row: str) -> None:
    if path == "demo":
        text = (ROOT / "demo/tests/categories_are_predicted.sql").read_text(encoding="utf-8")
    else:
        files = recipe_files(f"docs/recipes/{path}.md")
        [text] = [text for name, text in files.items() if name.startswith("tests/")]
    with duckdb.connect() as connection:
        failing = connection.execute(rendered(text, f"(select {row})")).fetchall()
    assert len(failing) == 1


def rendered(text: str, table: str | None = None) -> str:
    """Return a model or a data test as SQL that reads this table, or those of the same name."""
    macros = SimpleNamespace(cosine_similarity=lambda a, b: f"list_cosine_similarity({a}, {b})")
    return Template(text).render(
        ref=lambda name: table or name, config=lambda **_: "", tf_embeddings=macros
    )


def test_other_examples_give_what_the_page_says(embedded: Vectors) -> None:
    """Twenty English tickets, at random: three of each large category, two of each small one."""
    rng = np.random.default_rng(0)
    large = ("app", "card", "login", "transfer")
    english = embedded.languages == "en"
    accuracies = [
        embedded.accuracy(
            np.concatenate(
                [
                    rng.choice(
                        np.flatnonzero((embedded.categories == name) & english),
                        3 if name in large else 2,
                        replace=False,
                    )
                    for name in sorted(set(embedded.categories))
                ]
            )
        )
        for _ in range(500)
    ]

    assert 0.58 < np.median(accuracies) < 0.62
    assert 0.40 < min(accuracies) < 0.48
    assert 0.68 < max(accuracies) < 0.76


def test_the_planted_duplicates_are_found_and_nothing_else(
    finished: Finished, embedded: Vectors
) -> None:
    place = finished("docs/recipes/duplicates.md")
    found: dict[int, set[int]] = {}
    for id_, group in place.rows("select id, group_id from duplicate_groups"):
        found.setdefault(group, set()).add(id_)
    planted = np.eye(len(embedded.ids), dtype=bool)
    for group in DUPLICATES:
        places = embedded.places(sorted(group))
        planted[np.ix_(places, places)] = True
    different = embedded.similarities[~planted]
    same = embedded.similarities[planted]

    assert found == {min(group): group for group in DUPLICATES}
    assert same.min() > 0.87
    assert different.max() < 0.76
    [(kept, reports)] = place.rows("select count(*), sum(reports) from tickets_merged")
    assert (kept, reports) == (140, 150)


def test_a_chain_of_pairs_is_one_group(finished: Finished, tmp_path: Path) -> None:
    """Seven tickets in a chain, the longest that six rounds follow; of eight, the test fails."""
    project = finished("docs/recipes/duplicates.md").copy(tmp_path / "copy")
    chain = "select {} as id_a, {} as id_b, 0.9 as cosine_similarity"
    with Reader(Place(tmp_path / "copy"), project) as reader:
        for last, fails in ((7, False), (8, True)):
            pairs = [chain.format(n, n + 1) for n in range(1, last)]
            reader.write("models/duplicate_candidates.sql", " union all ".join(pairs))
            arguments = ["build", "--select", "duplicate_candidates", "duplicate_groups"]
            if fails:
                with pytest.raises(RuntimeError, match="FAIL 1 groups_are_complete"):
                    reader.dbt(arguments)
            else:
                reader.dbt(arguments)


def test_topics_separate_categories_better_than_chance_and_k_means(
    finished: Finished, embedded: Vectors
) -> None:
    place = finished("docs/recipes/topics.md")
    topics = dict(place.rows("select id, topic from ticket_topics"))
    found = embedded.of_one_category(np.array([topics[id_] for id_ in embedded.ids]))
    by_chance = embedded.of_one_category(np.zeros(len(embedded.ids)))
    by_k_means = np.mean([embedded.of_one_category(k_means(embedded, 12, n)) for n in range(10)])

    assert set(topics.values()) == set(range(1, 13))
    assert by_chance < 0.16
    assert found > 3 * by_chance
    assert found > by_k_means
    assert by_k_means == pytest.approx(0.44, abs=0.03)


def k_means(embedded: Vectors, k: int, seed: int) -> np.ndarray:
    """Return the group of each ticket after thirty rounds from random tickets."""
    rng = np.random.default_rng(seed)
    vectors = embedded.vectors
    centers = vectors[rng.choice(len(vectors), k, replace=False)]
    groups = np.zeros(len(vectors), dtype=int)
    for _ in range(30):
        groups = (vectors @ centers.T).argmax(axis=1)
        means = [
            vectors[groups == n].mean(axis=0) if (groups == n).any() else centers[n]
            for n in range(k)
        ]
        centers = np.array([mean / np.linalg.norm(mean) for mean in means])
    return groups


def test_two_columns_find_better_neighbors_than_one(finished: Finished) -> None:
    place = finished("docs/recipes/several-columns.md")
    shares = dict(place.rows("select which, of_the_same_category from which_text_is_better"))

    assert shares["tickets_as_one_text"] > shares["similar_tickets"] > shares["tickets_embedded"]
    [(without,)] = place.rows(
        "select count(*) from tickets_as_one_text where embedding is null or model_version is null"
    )
    assert without == 0


def test_personal_data_is_masked_and_only_masked_texts_are_embedded(finished: Finished) -> None:
    place = finished("docs/recipes/mask-personal-data.md")
    masked = dict(place.rows("select id, body from tickets_masked where body is not null"))
    original = {int(row["id"]): row["body"] for row in tickets() if row["body"]}

    assert {id_ for id_ in masked if masked[id_] != original[id_]} == set(PERSONAL)
    for id_, texts in PERSONAL.items():
        assert not any(text in masked[id_] for text in texts)
        assert masked[id_].count("[") == len(texts)
        assert not re.search(r"\d[ -]?\d{4}[ -]?\d{4}|@", masked[id_])
    hashes = {text_hash for (text_hash,) in place.rows("select text_hash from embedding_store")}
    assert hashes == {hashlib.sha256(text.encode()).hexdigest() for text in masked.values()}


def test_masking_changes_a_vector_as_little_as_the_page_says(
    finished: Finished, embedded: Vectors
) -> None:
    masked = Vectors(finished("docs/recipes/mask-personal-data.md"))
    similarities = (masked.vectors * embedded.vectors).sum(axis=1)
    changed = dict(zip(masked.ids, similarities, strict=True))

    assert changed.pop(123) == pytest.approx(0.79, abs=0.005)
    assert min(changed.values()) >= 0.95


def test_the_judged_pairs_that_are_missed_are_in_other_languages(finished: Finished) -> None:
    place = finished("docs/recipes/evaluate.md")
    missed = place.rows("select why from judged_places where place > 5")

    assert len(missed) == 3
    assert all(why.endswith(("; German", "; French")) for (why,) in missed)
    assert place.rows("select count(*) from judged_places") == [(15,)]


def test_drift_is_as_far_as_the_page_says(embedded: Vectors) -> None:
    def distance(a: np.ndarray, b: np.ndarray | None = None) -> float:
        one = a.mean(axis=0)
        other = (embedded.vectors if b is None else b).mean(axis=0)
        return float(1 - one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    vectors = embedded.vectors
    half = np.random.default_rng(0).permutation(len(vectors))[: len(vectors) // 2]
    is_first = np.array(embedded.ids) <= 100
    assert distance(vectors[half]) == pytest.approx(0.01, abs=0.006)
    assert distance(vectors[embedded.categories == "app"]) == pytest.approx(0.33, abs=0.01)
    assert distance(vectors[embedded.places([98])]) == pytest.approx(0.61, abs=0.01)
    assert distance(vectors[embedded.languages != "en"]) == pytest.approx(0.75, abs=0.01)
    assert distance(vectors[is_first], vectors[~is_first]) == pytest.approx(0.053, abs=0.002)


def test_a_broken_export_fails_the_drift_test(finished: Finished, tmp_path: Path) -> None:
    project = finished("docs/recipes/drift.md").copy(tmp_path / "copy")
    relation = "(select id, (select body from tickets where id = 98) as body from tickets)"
    with Reader(Place(tmp_path / "copy"), project) as reader:
        reader.write(
            "models/tickets_embedded.sql",
            "{{ config(materialized='table') }} {{ tf_embeddings.with_embeddings("
            f"relation='{relation}', text='body', store=ref('embedding_store')) }}}}",
        )
        with pytest.raises(RuntimeError, match="FAIL 1 tf_embeddings_embedding_drift"):
            reader.dbt(["build", "--select", "tickets_embedded"])


@pytest.mark.parametrize("page", RECIPES, ids=lambda page: page.stem)
def test_the_rows_on_top_of_a_page_are_among_those_that_it_prints(page: Path) -> None:
    texts = [
        part
        for part in parse(str(page.relative_to(ROOT)))
        if isinstance(part, Block) and part.language == "text"
    ]
    shown = [line for part in texts if not part.title for line in part.text.splitlines()]
    printed = [line for part in texts if part.title == "prints" for line in part.text.splitlines()]

    assert set(shown) <= set(printed)


def test_the_index_links_every_recipe() -> None:
    index = (ROOT / "docs/recipes/index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", index))

    assert linked >= {page.name for page in RECIPES} - {"index.md"}


def recipe_files(*pages: str) -> dict[str, str]:
    """Return the files that pages write into a project, path -> content, but not its settings."""
    return {
        part.title: part.text
        for page in pages
        for part in parse(page)
        if isinstance(part, Block)
        and part.title.startswith(("models/", "macros/", "tests/", "seeds/"))
    }


@pytest.mark.exhaustive
def test_the_same_files_give_the_same_on_snowflake(
    tmp_path: Path, local_snowflake: LocalSnowflake, minilm: Artifact, finished: Finished
) -> None:
    """All on one store; masking stands beside them."""
    names = ("classify", "duplicates", "topics", "several-columns", "evaluate")
    pages = [f"docs/recipes/{name}.md" for name in names]
    masking = recipe_files("docs/recipes/mask-personal-data.md")
    masking.pop("models/tickets_embedded.sql")
    files = {
        "seeds/tickets.csv": TICKETS.read_text(encoding="utf-8"),
        **recipe_files("docs/get-started/duckdb.md", *pages),
        **masking,
    }
    project = make_snowflake_project(tmp_path / "p", local_snowflake, artifacts=[minilm])
    for path, text in files.items():
        project.write(path, text)
    sources = [{"ref": "tickets", "column": "body"}]
    project.configure(vars={**project.vars(), "tf_embeddings_sources": sources})
    run = project.dbt("build")
    assert run.success, run.errors

    queries = {
        "classify": ["select id, predicted_category from {}predicted_categories"],
        "duplicates": [
            "select id, group_id from {}duplicate_groups",
            "select id, reports, ids from {}tickets_merged",
        ],
        "topics": [
            "select topic, id from {}topics",
            "select id, topic from {}ticket_topics",
            "select topic, tickets, typical from {}topic_names",
        ],
        "several-columns": [
            "select id, similar_id, place from {}similar_tickets",
            "select which, tickets, round(of_the_same_category, 4) from {}which_text_is_better",
        ],
        "evaluate": ["select query_id, neighbor_id, place from {}judged_places"],
        "mask-personal-data": ["select id, title, body from {}tickets_masked where id <> 139"],
    }
    for name, of_one in queries.items():
        place = finished(f"docs/recipes/{name}.md")
        for query in of_one:
            ours = sorted(place.rows(query.format("")))
            assert sorted(project.rows(query.format("dev."))) == ours


@pytest.mark.exhaustive
def test_the_table_for_cortex_search_takes_only_what_is_new_on_snowflake(
    tmp_path: Path, local_snowflake: LocalSnowflake, minilm: Artifact
) -> None:
    project = make_snowflake_project(tmp_path / "p", local_snowflake, artifacts=[minilm])
    project.write("seeds/tickets.csv", TICKETS.read_text(encoding="utf-8"))
    for path, text in recipe_files("docs/recipes/cortex-search.md").items():
        project.write(path, text)
    sources = [{"ref": "tickets", "column": "body"}]
    project.configure(vars={**project.vars(), "tf_embeddings_sources": sources})
    assert project.dbt("build").success
    known = "select id, body, model_version from dev.tickets_embedded order by id"
    before = project.rows(known)
    assert len(before) == 150

    project.execute("update dev.tickets set body = 'My card is lost.' where id = 7")
    run = project.dbt("run")
    assert run.success, run.errors
    after = project.rows(known)
    assert [row[0] for row in after] == [row[0] for row in before]
    assert [new for new, old in zip(after, before, strict=True) if new != old] == [
        (7, "My card is lost.", minilm.version)
    ]
