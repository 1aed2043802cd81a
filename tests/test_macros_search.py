"""The searches by vector and by text on both engines, against NumPy.

The ties, the ranks and the vectors without direction of nearest_neighbors are in
test_macros_vectors.py and test_snowflake_vectors.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import counted
from duckdb_projects import NAME, Project, make_project
from makers import Artifact, write_artifact
from snowflake_projects import SnowflakeProject, make_snowflake_project
from tf_embeddings_udf import Embedder

DIMENSIONS = 8
# float32 sums of 8 products.
TOLERANCE = 1e-5
# No similarity of the made vectors is nearer to it.
THRESHOLD = 0.5

OLD = "v00000000000d"

NOTES = {
    1: "the quick brown fox",
    2: "the lazy dog",
    3: "a quick dog",
    4: " ",
    5: None,
    6: "the brown dog jumps over the lazy fox",
}

# The same text twice, and once in other letters; a blank one, and none.
QUESTIONS = {
    "a": "the quick dog",
    "b": "the quick dog",
    "c": "The quick DOG",
    "d": "a lazy fox",
    "e": " ",
    "f": None,
}


@dataclass(frozen=True)
class Row:
    """A row of the tables pool and asked."""

    id: int
    embedding: np.ndarray | None
    version: str
    language: str | None


Meet = Callable[[Row, Row], bool]


def made_rows(first: int, count: int, version: str, seed: int) -> list[Row]:
    """Return rows of this version, with some that no search may find."""
    random = np.random.default_rng(seed)
    languages = ("en", "de", None)
    rows = [
        Row(
            first + place,
            random.normal(size=DIMENSIONS).astype(np.float32),
            version,
            languages[place % 3],
        )
        for place in range(count)
    ]
    rows[3] = replace(rows[3], embedding=None)
    rows[4] = replace(rows[4], embedding=np.zeros(DIMENSIONS, np.float32))
    rows[6] = replace(rows[6], embedding=np.full(DIMENSIONS, np.nan, np.float32))
    return rows


def has_direction(row: Row) -> bool:
    vector = row.embedding
    return vector is not None and bool(np.isfinite(vector).all() and vector.any())


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def table_of(rows: list[Row]) -> str:
    """Return a model that holds these rows, on either engine."""

    def literal(vector: np.ndarray | None) -> str:
        if vector is None:
            return "null"
        numbers = ("cast('nan' as float)" if np.isnan(one) else str(float(one)) for one in vector)
        return f"[{', '.join(numbers)}]"

    kind = f"{{{{ tf_embeddings._vector_type({DIMENSIONS}) }}}}"
    return " union all ".join(
        f"select {row.id} as id, cast({literal(row.embedding)} as {kind}) as embedding, "
        f"'{row.version}' as model_version, {text_literal(row.language)} as language"
        for row in rows
    )


def text_literal(text: str | None) -> str:
    return "cast(null as varchar)" if text is None else f"'{text}'"


def texts_of(rows: dict[Any, str | None]) -> str:
    return " union all ".join(
        f"select '{id_}' as id, {text_literal(text)} as body" for id_, text in rows.items()
    )


MODELS = {
    "by_version": "nearest_neighbors(ref('asked'), ref('pool'), 'id', 'id', k=3)",
    "by_old_version": """nearest_neighbors(
      ref('asked'), ref('pool'), 'id', 'id', k=3, model='old_tiny'
    )""",
    "by_any_version": """nearest_neighbors(
      ref('asked'), ref('pool'), 'id', 'id', k=3, query_version=none, corpus_version=none
    )""",
    "across_versions": """nearest_neighbors(
      queries="select * from " ~ ref('asked') ~ " where model_version = 'OLD'",
      corpus=ref('pool'), query_id='id', corpus_id='id',
    )""",
    "by_literal": """nearest_neighbors(
      queries="select * from " ~ ref('asked') ~ " where model_version <> 'OLD'",
      corpus=ref('pool'), query_id='id', corpus_id='id', k=3,
      query_version=tf_embeddings.embedding_version(),
    )""",
    "by_language": """nearest_neighbors(
      ref('asked'), ref('pool'), 'id', 'id', k=3, filter='queries.language = corpus.language'
    )""",
    "by_either": """nearest_neighbors(
      ref('asked'), ref('pool'), 'id', 'id', k=3,
      filter="corpus.language = 'de' or corpus.id < queries.id * 10"
    )""",
    "by_itself": """nearest_neighbors(
      ref('pool'), ref('pool'), 'id', 'id', k=3, exclude_self=true
    )""",
    "by_lists": "nearest_neighbors(ref('asked_python'), ref('pool_parquet'), 'id', 'id', k=3)",
    "by_text": """nearest_neighbors(
      ref('questions'), ref('notes_embedded'), 'id', 'id', k=2, query_text='body'
    )""",
    "by_text_filtered": """nearest_neighbors(
      ref('questions'), ref('notes_embedded'), 'id', 'id', k=2, query_text='upper(body)',
      filter="queries.body <> 'a lazy fox' and corpus.body <> 'a quick dog'"
    )""",
    "pairs": f"near_duplicates(ref('pool'), 'id', threshold={THRESHOLD})",
    "pairs_of_lists": f"near_duplicates(ref('pool_parquet'), 'id', threshold={THRESHOLD})",
    "pairs_of_old_version": f"""near_duplicates(
      ref('pool'), 'id', threshold={THRESHOLD}, model='old_tiny'
    )""",
    "pairs_of_any_version": f"""near_duplicates(
      ref('pool'), 'id', threshold={THRESHOLD}, version=none
    )""",
    "pairs_by_language": f"""near_duplicates(
      'select id as key, embedding as vector, model_version, language from ' ~ ref('pool'),
      'key', threshold={THRESHOLD}, embedding='vector', block='language'
    )""",
    "pairs_by_two_blocks": f"""near_duplicates(
      ref('pool'), 'id', threshold={THRESHOLD},
      block="language || '/' || cast(id % 2 as varchar)"
    )""",
}


# Vectors come back as lists from both. In pandas, NaN is NULL.
PARQUET = "{{{{ config(materialized='external', location='{}') }}}}"
PYTHON = """
def model(dbt, session):
    dbt.config(materialized="table")
    return dbt.ref("asked").filter("not coalesce(isnan(embedding[1]), false)").df()
"""


@dataclass(frozen=True)
class Searched:
    """A project in which the searches have run.

    Attributes:
        project: the project; its searches are its tables.
        tables: what pool and asked hold.
        version: the version that is pinned as the default model's.
        embedded: how often each text reached the model; on Snowflake, how many did.
    """

    project: Project
    tables: dict[str, list[Row]]
    version: str
    embedded: Counter[str] | int

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return what a search found, in the order of its first columns."""
        is_search = "pairs" not in table
        columns = (
            "query_id, neighbor_rank, neighbor_id, cosine_similarity"
            if is_search
            else "id_a, id_b, cosine_similarity"
        )
        schema = "dev" if isinstance(self.project, SnowflakeProject) else "main"
        return self.project.rows(f"select {columns} from {schema}.{table} order by 1, 2")


@pytest.fixture(scope="session")
def tiny(
    litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The small model of conftest.py, with the runtime in its artifact."""
    return write_artifact(
        *litert_tokens_model, tmp_path_factory.mktemp("tiny_stage"), with_runtime=True
    )


@pytest.fixture(scope="module", params=["duckdb", "snowflake"])
def searched(
    request: pytest.FixtureRequest, tiny: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Searched:
    tables = {
        name: made_rows(first, count, tiny.version, seed)
        + made_rows(first + 100, count, OLD, seed + 1)
        for name, first, count, seed in (("asked", 1, 9, 1), ("pool", 20, 40, 3))
    }
    files = {
        "asked": table_of(tables["asked"]),
        "pool": table_of(tables["pool"]),
        "notes": texts_of(NOTES),
        "questions": texts_of(QUESTIONS),
        "notes_embedded": """
          select *, {{ tf_embeddings.embed('body') }} as embedding,
            {{ tf_embeddings.embedding_version() }} as model_version
          from {{ ref('notes') }}
        """,
        **{
            name: f"{{{{ tf_embeddings.{call.replace('OLD', OLD)} }}}}"
            for name, call in MODELS.items()
        },
    }
    models = {f"models/{name}.sql": text for name, text in files.items()}
    folder = tmp_path_factory.mktemp("dbt") / "project"
    copies = {"asked_python": "select * from {{ ref('asked') }}"}
    copies["pool_parquet"] = "select * from {{ ref('pool') }}"
    models |= {f"models/{name}.sql": text for name, text in copies.items()}
    if request.param == "duckdb":
        del models["models/asked_python.sql"]
        models["models/asked_python.py"] = PYTHON
        models["models/pool_parquet.sql"] += PARQUET.format(folder / "pool.parquet")
        project = make_project(folder, artifacts=[tiny], files=models)
    else:
        server = request.getfixturevalue("local_snowflake")
        project = make_snowflake_project(folder, server, artifacts=[tiny], files=models)
    project.configure(
        vars={
            "tf_embeddings_models": {
                "tiny": tiny.pin(),
                # Nothing embeds with it, so nothing of it is staged.
                "old_tiny": {**tiny.pin(), "version": OLD},
            },
            "tf_embeddings_default_model": "tiny",
        }
    )
    with counted() as reached:
        run = project.dbt("build")
    assert run.success, run.errors
    embedded = Counter(text for text in reached.texts if text is not None)
    if isinstance(project, SnowflakeProject):
        return Searched(project, tables, tiny.version, project.embedded())
    return Searched(project, tables, tiny.version, embedded)


def always(a: Row, b: Row) -> bool:
    return True


def of_version(rows: list[Row], version: str | None) -> list[Row]:
    return [row for row in rows if version in (None, row.version) and has_direction(row)]


def nearest(queries: list[Row], corpus: list[Row], meet: Meet = always) -> list[Any]:
    """The oracle: (query, rank, neighbor, similarity) of the three nearest, in float64."""
    found = []
    for query in sorted(queries, key=lambda row: row.id):
        similarities = sorted(
            (-cosine(query.embedding, row.embedding), row.id)  # pyright: ignore[reportArgumentType]
            for row in corpus
            if meet(query, row)
        )
        found += [
            (query.id, rank, id_, -distance)
            for rank, (distance, id_) in enumerate(similarities[:3], 1)
        ]
    return found


def similar(rows: list[Row], meet: Meet = always) -> list[Any]:
    """The oracle: (a, b, similarity) of the pairs that reach the threshold, in float64."""
    pairs = [
        (a.id, b.id, cosine(a.embedding, b.embedding))  # pyright: ignore[reportArgumentType]
        for a, b in combinations(sorted(rows, key=lambda row: row.id), 2)
        if meet(a, b)
    ]
    return [pair for pair in pairs if pair[2] >= THRESHOLD]


def assert_same(found: list[tuple[Any, ...]], expected: list[Any]) -> None:
    """Assert that rows are equal, and their last column within the tolerance."""
    assert [row[:-1] for row in found] == [row[:-1] for row in expected]
    np.testing.assert_allclose(
        [row[-1] for row in found], [row[-1] for row in expected], atol=TOLERANCE
    )


@pytest.mark.parametrize("search", ["by_version", "by_literal", "by_lists"])
def test_only_vectors_of_the_pinned_version_meet(searched: Searched, search: str) -> None:
    asked, pool = (of_version(searched.tables[t], searched.version) for t in ("asked", "pool"))

    assert_same(searched.rows(search), nearest(asked, pool))


@pytest.mark.parametrize("searched", ["duckdb"], indirect=True)
def test_vectors_of_parquet_and_python_models_are_lists(searched: Searched) -> None:
    types = [
        searched.project.rows(f"select distinct typeof(embedding) from main.{table}")
        for table in ("asked_python", "pool_parquet")
    ]
    assert types == [[("FLOAT[]",)]] * 2


def test_another_model_searches_the_vectors_of_its_own_version(searched: Searched) -> None:
    asked, pool = (of_version(searched.tables[table], OLD) for table in ("asked", "pool"))

    assert_same(searched.rows("by_old_version"), nearest(asked, pool))


def test_a_search_across_versions_finds_nothing(searched: Searched) -> None:
    assert searched.rows("across_versions") == []


def test_vectors_from_elsewhere_need_no_version(searched: Searched) -> None:
    asked, pool = (of_version(searched.tables[table], None) for table in ("asked", "pool"))

    assert_same(searched.rows("by_any_version"), nearest(asked, pool))


def test_a_filter_leaves_out_pairs_before_they_are_ranked(searched: Searched) -> None:
    asked, pool = (of_version(searched.tables[t], searched.version) for t in ("asked", "pool"))

    assert_same(
        searched.rows("by_language"),
        nearest(asked, pool, lambda q, c: q.language is not None and q.language == c.language),
    )
    assert_same(
        searched.rows("by_either"),
        nearest(asked, pool, lambda q, c: c.language == "de" or c.id < q.id * 10),
    )


def test_a_row_is_not_its_own_neighbor(searched: Searched) -> None:
    pool = of_version(searched.tables["pool"], searched.version)

    assert_same(searched.rows("by_itself"), nearest(pool, pool, lambda q, c: q.id != c.id))


def by_meaning(
    texts: dict[str, str | None], notes: dict[int, str], embedder: Embedder
) -> list[Any]:
    """The oracle for texts: the two nearest notes of each question that says something."""
    asked = {id_: text for id_, text in texts.items() if text is not None and text.strip()}
    vectors = {
        text: embedder.embed([text]).embeddings[0] for text in {*asked.values(), *notes.values()}
    }
    found = []
    for id_, text in asked.items():
        ranked = sorted((-cosine(vectors[text], vectors[n]), str(i)) for i, n in notes.items())
        found += [(id_, rank, note, -d) for rank, (d, note) in enumerate(ranked[:2], 1)]
    return found


def test_texts_ask_with_no_vector_of_their_own(searched: Searched, tiny_embedder: Embedder) -> None:
    notes = {id_: note for id_, note in NOTES.items() if note is not None and note.strip()}

    assert_same(searched.rows("by_text"), by_meaning(QUESTIONS, notes, tiny_embedder))


def test_a_filter_sees_the_columns_beside_the_text(
    searched: Searched, tiny_embedder: Embedder
) -> None:
    questions = {
        id_: text.upper() for id_, text in QUESTIONS.items() if text and text != "a lazy fox"
    }
    notes = {id_: NOTES[id_] for id_ in (1, 2, 6)}

    assert_same(
        searched.rows("by_text_filtered"),
        by_meaning(questions, notes, tiny_embedder),  # pyright: ignore[reportArgumentType]
    )


def test_each_distinct_text_is_embedded_once(searched: Searched) -> None:
    asked = {text for text in QUESTIONS.values() if text is not None}
    expected = Counter(note for note in NOTES.values() if note is not None)
    expected += Counter(asked) + Counter({text.upper() for text in asked})

    assert searched.embedded in (expected, expected.total())


def test_a_search_by_text_asks_the_hook_for_its_model(searched: Searched) -> None:
    nodes = searched.project.manifest()["nodes"]
    meta = {name: nodes[f"model.{NAME}.{name}"]["config"]["meta"] for name in MODELS}

    assert {name for name in MODELS if meta[name].get("tf_embeddings_tiny")} == {
        "by_text",
        "by_text_filtered",
    }


def test_pairs_are_those_of_numpy(searched: Searched) -> None:
    pool = searched.tables["pool"]

    assert_same(searched.rows("pairs"), similar(of_version(pool, searched.version)))
    assert_same(searched.rows("pairs_of_lists"), similar(of_version(pool, searched.version)))
    assert_same(searched.rows("pairs_of_old_version"), similar(of_version(pool, OLD)))
    assert_same(searched.rows("pairs_of_any_version"), similar(of_version(pool, None)))


def test_pairs_are_compared_within_their_block_alone(searched: Searched) -> None:
    pool = of_version(searched.tables["pool"], searched.version)

    def share_a_language(a: Row, b: Row) -> bool:
        return a.language is not None and a.language == b.language

    assert_same(searched.rows("pairs_by_language"), similar(pool, share_a_language))
    assert_same(
        searched.rows("pairs_by_two_blocks"),
        similar(pool, lambda a, b: share_a_language(a, b) and a.id % 2 == b.id % 2),
    )


def operators(plan: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the operators of a plan of DuckDB, and what it says of each."""
    below = [one for child in plan["children"] for one in operators(child)]
    return [(plan["name"].strip(), plan["extra_info"]), *below]


@pytest.fixture(scope="module")
def plans(searched: Searched) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The operators of each search on DuckDB that embeds nothing and finds something."""
    folder = searched.project.folder / f"target/compiled/{NAME}/models"
    found = {}
    for name in MODELS:
        if name.startswith("by_text") or name == "across_versions":  # which DuckDB sees is empty
            continue
        sql = (folder / f"{name}.sql").read_text(encoding="utf-8")
        [(_, plan)] = searched.project.rows(f"explain (format json) {sql}")
        found[name] = [one for root in json.loads(plan) for one in operators(root)]
    return found


@pytest.mark.parametrize("searched", ["duckdb"], indirect=True)
def test_equal_columns_are_a_hash_join_and_the_rest_streams(
    plans: dict[str, list[tuple[str, dict[str, Any]]]],
) -> None:
    joins = {
        name: {operator for operator, _ in plan if "JOIN" in operator or "PRODUCT" in operator}
        for name, plan in plans.items()
    }

    assert joins == {name: {joins_of(name)} for name in plans}


def joins_of(name: str) -> str:
    if name == "by_either":
        return "BLOCKWISE_NL_JOIN"
    by_hash = ("by_language", "pairs_by_language", "pairs_by_two_blocks")
    return "HASH_JOIN" if name in by_hash else "CROSS_PRODUCT"


@pytest.mark.parametrize("searched", ["duckdb"], indirect=True)
def test_pairs_scan_their_relation_once(
    plans: dict[str, list[tuple[str, dict[str, Any]]]],
) -> None:
    scans = {
        name: [str(info) for _, info in plan if "main.pool" in str(info)]
        for name, plan in plans.items()
        if name.startswith("pairs") and name != "pairs_of_lists"
    }

    assert {name: len(found) for name, found in scans.items()} == dict.fromkeys(scans, 1)


WRONG = {
    "version_of_another_model": (
        "nearest_neighbors('a', 'b', 'id', 'id', "
        "query_version=tf_embeddings.embedding_version('old_tiny'))",
        f"nearest_neighbors: query_version is '{OLD}', but model 'tiny' is pinned at 'VERSION'; "
        "vectors of two versions cannot be compared. Pass the model of that version, as "
        "model='…', or the column that holds each row's version.",
    ),
    "versions_that_differ": (
        "nearest_neighbors('a', 'b', 'id', 'id', "
        "query_version=tf_embeddings.embedding_version('old_tiny'), "
        "corpus_version=tf_embeddings.embedding_version('tiny'), model='old_tiny')",
        "nearest_neighbors: corpus_version is 'VERSION', but model 'old_tiny' is pinned at "
        f"'{OLD}'; vectors of two versions cannot be compared.",
    ),
    "version_on_one_side": (
        "nearest_neighbors('a', 'b', 'id', 'id', query_version=none)",
        "nearest_neighbors: query_version is none, but the other side has a version; vectors of "
        "two versions cannot be compared. Name its column. If all its vectors are of the pinned "
        "version, pass query_version=tf_embeddings.embedding_version(); if neither side is of a "
        "pinned model, pass none for both.",
    ),
    "text_against_no_version": (
        "nearest_neighbors('a', 'b', 'id', 'id', query_text='body', corpus_version=none)",
        "nearest_neighbors: corpus_version is none, but the other side has a version;",
    ),
    "empty_filter": (
        "nearest_neighbors('a', 'b', 'id', 'id', filter='')",
        "nearest_neighbors: filter is empty; it must be a SQL expression in quotes,",
    ),
    "exclude_self_as_text": (
        "nearest_neighbors('a', 'b', 'id', 'id', exclude_self='yes')",
        "nearest_neighbors: exclude_self is 'yes'; it must be true or false: whether a row of "
        "corpus with the id of the query is left out.",
    ),
    "threshold_in_percent": (
        "near_duplicates('a', 'id', threshold=95)",
        "near_duplicates: threshold is 95; it must be a number from -1 to 1, the least cosine "
        "similarity of a pair, such as 0.95.",
    ),
    "pairs_of_another_model": (
        "near_duplicates('a', 'id', version=tf_embeddings.embedding_version('old_tiny'))",
        f"near_duplicates: version is '{OLD}', but model 'tiny' is pinned at 'VERSION';",
    ),
    "unknown_model": (
        "near_duplicates('a', 'id', model='use')",
        "near_duplicates: model 'use' is not in var tf_embeddings_models (it has: tiny, old_tiny).",
    ),
}


@pytest.mark.parametrize("searched", ["duckdb"], indirect=True)
def test_a_wrong_argument_fails_its_model_alone(searched: Searched) -> None:
    for name, (call, _) in WRONG.items():
        searched.project.write(f"models/wrong/{name}.sql", f"{{{{ tf_embeddings.{call} }}}}")
    run = searched.project.dbt("run", "--select", "path:models/wrong", "path:models/pool.sql")

    says = {name: text.replace("VERSION", searched.version) for name, (_, text) in WRONG.items()}
    assert [name for name, text in says.items() if text not in run.output] == []
    assert run.status("pool") == "success"


# What finds nothing says so. Nothing is embedded here, so nothing is staged.

PIN = {
    "version": "v0123456789ab",
    "build": "b0123456789ab",
    "dimensions": 2,
    "kind": "tokens",
    "packages": ["numpy"],
}
VECTOR = "cast([1.0, ID] as {{ tf_embeddings._vector_type(2) }}) as embedding"
ROWS = " union all ".join(
    f"select {id_} as id, {VECTOR.replace('ID', str(id_))}, 'VERSION' as model_version"
    for id_ in (1, 2, 3)
)
SEARCH = "{{ tf_embeddings.nearest_neighbors(ref('QUERIES'), ref('CORPUS'), 'id', 'id') }}"
JOINED = """
  select * from ({{ tf_embeddings.with_embeddings(
    relation=tf_embeddings.with_embeddings(ref('notes'), 'title', ref('store')),
    text='body', store=ref('store'),
    embedding_column='body_embedding', version_column='body_version',
  ) }}) as joined
"""
STORE = "{{ tf_embeddings.text_hash(\"'a'\") }} as text_hash"
SMALL = {
    "now": ROWS.replace("VERSION", PIN["version"]),
    "before": ROWS.replace("VERSION", OLD),
    "either": "select * from {{ ref('now') }} union all select * from {{ ref('before') }}",
    "no_version": "select id, embedding from {{ ref('now') }}",
    "store": f"select {STORE}, embedding, model_version from {{{{ ref('now') }}}} where id = 1",
    "notes": "select 1 as id, 'a' as title, 'b' as body union all select 2, 'b', null "
    "union all select 3, 'c', 'a'",
    "old_corpus": SEARCH.replace("QUERIES", "now").replace("CORPUS", "before"),
    "old_queries": SEARCH.replace("QUERIES", "before").replace("CORPUS", "now"),
    "in_part": SEARCH.replace("QUERIES", "now").replace("CORPUS", "either"),
    "without_version": SEARCH.replace("QUERIES", "now").replace("CORPUS", "no_version"),
    "old_pairs": "{{ tf_embeddings.near_duplicates(ref('before'), 'id') }}",
    "vectors_elsewhere": "{{ tf_embeddings.near_duplicates(ref('now'), 'id', embedding='v') }}",
    "near": SEARCH.replace("'id') }}", "'id', k=3, min_similarity='0.98') }}")
    .replace("QUERIES", "now")
    .replace("CORPUS", "now"),
    "joined": JOINED,
    "no_text_known": "{{ tf_embeddings.with_embeddings(ref('notes'), \"'z' || title\", "
    "ref('store')) }}",
    "joined_twice": "{{ tf_embeddings.with_embeddings(ref('now'), 'id', ref('store'), "
    "version_column='its_version') }}",
}


@pytest.mark.parametrize("engine", ["duckdb", "snowflake"])
def test_what_finds_nothing_says_so(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """5,000 rows without a neighbor, or without a vector, and OK."""
    files = {f"models/{name}.sql": sql for name, sql in SMALL.items()}
    folder = tmp_path / "project"
    if engine == "duckdb":
        project, schema = make_project(folder, plugin=False, files=files), "main"
    else:
        server = request.getfixturevalue("local_snowflake")
        project, schema = make_snowflake_project(folder, server, files=files), "dev"
    project.pin(tiny=PIN)
    run = project.dbt("build")

    columns = "id, embedding" if engine == "duckdb" else "ID, EMBEDDING"
    now = f"model_version = '{PIN['version']}', the pinned version"
    for says in (
        f"nearest_neighbors: none of the 3 rows of corpus before has {now}, so old_corpus is empty."
        " Build its vectors and this model with: dbt build --select +old_corpus",
        f"nearest_neighbors: none of the 3 rows of queries before has {now}, so old_queries is",
        f"near_duplicates: none of the 3 rows of relation before has {now}, so old_pairs is empty.",
        f"nearest_neighbors: corpus no_version has no column model_version (it has: {columns}). "
        "Name the column in corpus_version='…', or select {{ tf_embeddings.embedding_version() }} "
        "as model_version there, beside the vectors: vectors of two versions cannot be compared.",
        f"near_duplicates: relation now has no column v (it has: {columns}",
        "with_embeddings: store has no row of model 'tiny' for the texts of 3 rows of notes, of 3 "
        "with a text, so they get no vector in no_text_known. Build both with: dbt build "
        "--select +no_text_known. If you just did, add 'z' || title of notes to the sources of "
        "the store or, with var tf_embeddings_max_new_texts, build until no text remains.",
        "with_embeddings: now already has a column embedding. Give the joined one a different "
        "name, such as embedding_column='text_embedding'.",
    ):
        assert says in run.output
    assert f"3 of the 6 rows of corpus either have {now}; the others are ignored" in " ".join(
        run.messages
    )
    wrong = {"without_version", "vectors_elsewhere", "joined_twice"}
    assert {name for name in SMALL if run.status(name) == "error"} == wrong

    # The cosines of (1, 1), (1, 2) and (1, 3): 0.949, 0.894 and 0.990.
    near = project.rows(f"select query_id, neighbor_id from {schema}.near order by 1, 2")
    assert near == [(1, 1), (2, 2), (2, 3), (3, 2), (3, 3)]
    joined = project.rows(
        f"select id, model_version, body_version, embedding is null, body_embedding is null "
        f"from {schema}.joined order by id"
    )
    version = PIN["version"]
    assert joined == [
        (1, version, None, False, True),
        (2, None, None, True, True),
        (3, None, version, True, False),
    ]
    assert project.dbt("build", "--empty", "--exclude", *wrong).success
