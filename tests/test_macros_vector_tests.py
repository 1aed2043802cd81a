"""The generic tests of what vectors mean: each seen to pass and seen to fail, on both engines.

One `dbt build` an engine makes the tables and runs every case; NumPy says what it should find.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import yaml
from duckdb_projects import NAME, Project, Run, make_project
from snowflake_projects import make_snowflake_project

TOLERANCE = 1e-4  # what Snowflake promises of its vector functions; DuckDB's are within 1e-6
PIN = {
    "version": "v0123456789ab",
    "build": "b0123456789ab",
    "dimensions": 3,
    "kind": "tokens",
    "packages": ["numpy"],
}
# In Parquet, whence they come back as lists, the same as in tables.
ENGINES = {"duckdb": "float[{}]", "parquet": "float[{}]", "snowflake": "vector(float, {})"}

Vector = np.ndarray | None
ODD_ID = "it's a \\ cat"
NAN = float("nan")

ANIMALS: dict[str, Vector] = {
    "cat": np.array([1.0, 0.1, 0.0]),
    "kitten": np.array([0.9, 0.2, 0.0]),
    "dog": np.array([0.7, 0.7, 0.0]),
    "car": np.array([0.0, 0.1, 1.0]),
    "1": np.array([1.0, 0.2, 0.1]),
    ODD_ID: np.array([1.0, 0.1, 0.1]),
    "none": None,
    "zero": np.zeros(3),
    "nan": np.array([NAN, 1.0, 0.0]),
}

RANDOM = np.random.default_rng(7)
CLOUD = RANDOM.normal(size=(40, 8)).round(3)
CLUSTER = (np.ones(8) + 0.1 * RANDOM.normal(size=(40, 8))).round(3)
MOVED = CLOUD + np.eye(8)[0]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def animals_are(a: str, b: str) -> float:
    one, another = ANIMALS[a], ANIMALS[b]
    assert one is not None
    assert another is not None
    return cosine(one, another)


def mean_cosine(vectors: np.ndarray) -> float:
    pairs = [cosine(a, b) for i, a in enumerate(vectors) for b in vectors[:i]]
    return float(np.mean(pairs))


def centroid_distance(a: np.ndarray, b: np.ndarray) -> float:
    return 1 - cosine(a.mean(axis=0), b.mean(axis=0))


def norm_shift(a: np.ndarray, b: np.ndarray) -> float:
    lengths = [float(np.linalg.norm(side, axis=1).mean()) for side in (a, b)]
    return abs(lengths[0] / lengths[1] - 1)


def nearest(query: int, k: int) -> list[int]:
    """Return the k nearest of CLOUD, without the query itself."""
    order = sorted(range(len(CLOUD)), key=lambda other: -cosine(CLOUD[query], CLOUD[other]))
    return [other for other in order if other != query][:k]


NEIGHBORS = [(query, other) for query in (0, 1, 2, 3) for other in nearest(query, 3)]
FAR = [(0, nearest(0, 39)[-1]), (1, nearest(1, 39)[-1])]


def json_of(vector: np.ndarray) -> str:
    return json.dumps([float(one) for one in vector])


GOLDEN = {
    "good": {"cat": json_of(np.array([1.0, 0.1, 0.0])), "dog": "[7e-1, 0.69995, 0]"},
    "bad": {
        "cat": "[1, 0.101, 0]",
        "kitten": "[0.9, 0.2]",
        "dog": "[0.7, 0.7, null]",
        "car": "[0, 0.1, 1",
        "none": "[0, 0, 0]",
        "unknown": "[1, 0, 0]",
        "1": None,
    },
}


@dataclass
class Table:
    """A table of a project: its columns, and rows whose cells are text, numbers or vectors."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    dimensions: int = 3

    def sql(self, vector_type: str) -> str:
        """Return its query; one without rows, where it has none."""
        vector_type = vector_type.format(self.dimensions)
        selects = [
            "select "
            + ", ".join(
                f"{literal(cell, column, vector_type)} as {column}"
                for column, cell in zip(self.columns, row, strict=True)
            )
            for row in self.rows or [(None,) * len(self.columns)]
        ]
        sql = " union all ".join(selects)
        return sql if self.rows else f"select * from ({sql}) as no_rows where 1 = 0"


def literal(cell: object, column: str, vector_type: str) -> str:
    if isinstance(cell, np.ndarray):
        numbers = ["'nan'::float" if np.isnan(one) else str(float(one)) for one in cell]
        return f"cast([{', '.join(numbers)}] as {vector_type})"
    if cell is None:
        return f"cast(null as {vector_type if column in ('embedding', 'vector') else 'varchar'})"
    if isinstance(cell, str):
        # As a character of its own, a backslash is the same on both engines.
        return "'" + cell.replace("'", "''").replace("\\", "' || chr(92) || '") + "'"
    return str(cell)


def numbered(vectors: np.ndarray) -> Table:
    return Table(["id", "embedding"], list(enumerate(vectors)), dimensions=8)


def tables(version: object) -> dict[str, Table]:
    animals = list(ANIMALS.items())
    cat = ANIMALS["cat"]
    return {
        "animals": Table(["name", "embedding"], animals),
        "alike": Table(["a", "b"], [("cat", "kitten"), ("dog", "cat")]),
        "unlike": Table(["a", "b"], [("cat", "kitten"), ("car", "cat")]),
        "no_pairs": Table(["a", "b"], []),
        "ordered": Table(["a", "b", "c"], [("cat", "kitten", "dog"), ("dog", "kitten", "car")]),
        "no_triples": Table(["a", "b", "c"], []),
        "constant": Table(["id", "embedding"], [(1, cat), (2, cat), (3, None)]),
        "nearly_constant": Table(
            ["id", "embedding"],
            [(1, CLOUD[0, :3]), (2, CLOUD[0, :3] + 1e-7), (3, CLOUD[0, :3] - 1e-7), (4, None)],
        ),
        "not_numbers": Table(["id", "embedding"], [(1, ANIMALS["nan"]), (2, ANIMALS["nan"])]),
        "single": Table(["id", "embedding"], [(1, cat), (2, None)]),
        "nothing": Table(["id", "embedding"], []),
        "cloud": numbered(CLOUD),
        "shuffled": numbered(np.concatenate([CLOUD[::-1], CLOUD[:30]])),
        "cluster": numbered(CLUSTER),
        "moved": Table(["id", "vector"], list(enumerate(MOVED)), dimensions=8),
        "longer": numbered(1.5 * CLOUD),
        "judged": Table(["query_id", "neighbor_id"], NEIGHBORS),
        "misjudged": Table(["query_id", "neighbor_id"], [*NEIGHBORS, *FAR, (98, 1), (1, 99)]),
        "nothing_judged": Table(["query_id", "neighbor_id"], []),
        "golden": Table(["name", "embedding"], list(GOLDEN["good"].items())),
        "twice": Table(
            ["name", "embedding"], [("cat", cat), ("cat", None), ("dog", ANIMALS["dog"])]
        ),
        "bad_golden": Table(["key", "value"], list(GOLDEN["bad"].items())),
        "no_golden": Table(["name", "value"], []),
        "stored": Table(
            ["name", "embedding", "status", "model_version"],
            [
                ("ok", cat, "ok", version),
                ("blank", None, "blank", version),
                ("failed", None, "error", version),
                ("unknown", None, None, None),
                ("old", cat, "ok", "v000000000000"),
            ],
        ),
    }


@dataclass
class Case:
    """A test on a table, and the rows that it should find; numbers are within TOLERANCE."""

    name: str
    test: str
    table: str
    arguments: dict[str, Any] = field(default_factory=dict)
    finds: list[tuple[Any, ...]] = field(default_factory=list)
    columns: str = "*"
    column: str = "embedding"
    where: str | None = None

    def properties(self) -> dict[str, Any]:
        """Return the case as an entry of `data_tests`."""
        config = {"config": {"where": self.where}} if self.where else {}
        return {
            f"tf_embeddings.{self.test}": {
                "name": self.name,
                "arguments": self.arguments,
                **config,
            }
        }


def similar(name: str, pairs: object, finds: list[tuple[Any, ...]], **others: Any) -> Case:  # noqa: ANN401
    arguments = {"id": "name", "pairs": pairs, **others}
    return Case(name, "embeddings_are_similar", "animals", arguments, finds)


def in_order(name: str, triples: object, finds: list[tuple[Any, ...]]) -> Case:
    arguments = {"id": "name", "triples": triples}
    return Case(name, "embeddings_keep_order", "animals", arguments, finds)


SIMILAR = [
    similar("similar_pairs", [["cat", "kitten"], ["dog", "cat"]], []),
    similar("similar_pairs_of_a_relation", "ref('alike')", []),
    similar("similar_pairs_of_a_query", "select a, b from {{ ref('alike') }}", []),
    similar("similar_ids_of_any_kind", [[1, "cat"], ["1", ODD_ID]], []),
    similar("opposite_pairs_are_allowed", [["cat", "car"]], [], at_least="-1"),
    similar("unlike_pair", [["cat", "car"]], [("cat", "car", animals_are("cat", "car"))]),
    similar(
        "unlike_pair_of_a_relation", "ref('unlike')", [("car", "cat", animals_are("car", "cat"))]
    ),
    similar(
        "high_limit",
        [["cat", "dog"], ["cat", "cat"]],
        [("cat", "dog", animals_are("cat", "dog"))],
        at_least=0.99,
    ),
    similar(
        "missing_ids",
        [["cat", "cow"], ["cow", "cow"], ["none", "cat"]],
        [("cat", "cow", None), ("cow", "cow", None), ("none", "cat", None)],
    ),
    similar("no_pairs_at_all", "ref('no_pairs')", [(None, None, None)]),
    Case(
        "pairs_without_direction",
        "embeddings_are_similar",
        "animals",
        {"id": "name", "pairs": [["zero", "cat"], ["nan", "cat"]], "at_least": -1},
        [("nan", "cat"), ("zero", "cat")],
        columns="a, b",
    ),
]

ORDER = [
    in_order("right_order", [["cat", "kitten", "dog"], ["dog", "cat", "car"]], []),
    in_order("right_order_of_a_relation", "ref('ordered')", []),
    in_order(
        "wrong_order",
        [["cat", "dog", "kitten"]],
        [("cat", "dog", "kitten", animals_are("cat", "dog"), animals_are("cat", "kitten"))],
    ),
    in_order(
        "equal_is_not_closer",
        [["cat", "dog", "dog"]],
        [("cat", "dog", "dog", animals_are("cat", "dog"), animals_are("cat", "dog"))],
    ),
    in_order(
        "order_of_missing_ids",
        [["cat", "kitten", "cow"], ["cow", "cat", "dog"]],
        [
            ("cat", "kitten", "cow", animals_are("cat", "kitten"), None),
            ("cow", "cat", "dog", None, None),
        ],
    ),
    in_order("no_triples_at_all", "ref('no_triples')", [(None,) * 5]),
    Case(
        "order_without_direction",
        "embeddings_keep_order",
        "animals",
        {"id": "name", "triples": [["cat", "nan", "dog"], ["cat", "kitten", "zero"]]},
        [("cat", "kitten", "zero"), ("cat", "nan", "dog")],
        columns="a, b, c",
    ),
]

SPREAD = [
    Case("constant_vectors", "embedding_is_not_constant", "constant", {}, [(2, 2)]),
    Case("nearly_constant_vectors", "embedding_is_not_constant", "nearly_constant", {}, [(3, 3)]),
    Case("constant_vectors_of_nan", "embedding_is_not_constant", "not_numbers", {}, [(2, 2)]),
    Case("exactly_constant", "embedding_is_not_constant", "nearly_constant", {"tolerance": "1e-9"}),
    Case(
        "constant_within_a_tolerance",
        "embedding_is_not_constant",
        "animals",
        {"tolerance": 0.2},
        [(2, 2)],
        where="name in ('cat', 'kitten')",
    ),
    Case("one_vector_is_not_constant", "embedding_is_not_constant", "single"),
    Case("no_vector_is_not_constant", "embedding_is_not_constant", "nothing"),
    Case("different_vectors", "embedding_is_not_constant", "cloud"),
    Case("spread_vectors", "embedding_no_collapse", "cloud"),
    Case("one_vector_has_not_collapsed", "embedding_no_collapse", "single", {"at_most": -1}),
    Case("no_vector_has_not_collapsed", "embedding_no_collapse", "nothing", {"at_most": -1}),
    Case("constant_vectors_collapse", "embedding_no_collapse", "constant", {}, [(2, 1, 1.0)]),
    Case(
        "vectors_without_direction_do_not_count",
        "embedding_no_collapse",
        "animals",
        {"at_most": 0.99},
        [(2, 2, animals_are("cat", "1"))],
        where="name in ('cat', '1', 'zero', 'nan', 'none')",
    ),
    Case("collapsed", "embedding_no_collapse", "cluster", {}, [(40, 40, mean_cosine(CLUSTER))]),
    Case(
        "equal_vectors_count_once",
        "embedding_no_collapse",
        "shuffled",
        {"at_most": "-1e-1"},
        [(70, 40, mean_cosine(CLOUD))],
    ),
]

SAMPLES = [
    Case(f"sample_of_{table}", "embedding_no_collapse", table, {"at_most": -1, "sample": 5})
    for table in ("cloud", "shuffled")
]


def drift(name: str, table: str, arguments: dict[str, Any], *finds: tuple[Any, ...]) -> Case:
    columns = "centroid_distance, norm_shift"
    return Case(name, "embedding_drift", table, arguments, list(finds), columns)


DRIFT = [
    drift("no_drift", "cloud", {"baseline": "ref('shuffled')", "max_centroid_distance": 0.2}),
    drift("no_drift_at_all", "cloud", {"baseline": "ref('cloud')"}),
    drift(
        "moved_centroid",
        "cloud",
        {"baseline": "ref('moved')", "baseline_column": "vector"},
        (centroid_distance(CLOUD, MOVED), norm_shift(CLOUD, MOVED)),
    ),
    drift("grown_norm", "longer", {"baseline": "ref('cloud')"}, (0.0, 0.5)),
    drift("grown_norm_is_allowed", "longer", {"baseline": "ref('cloud')", "max_norm_shift": 0.51}),
    drift("drift_of_nothing", "nothing", {"baseline": "ref('single')"}, (None, None)),
    drift("drift_from_nothing", "single", {"baseline": "ref('nothing')"}, (None, None)),
    Case(
        "drift_with_nan",
        "embedding_drift",
        "animals",
        {"baseline": "ref('constant')", "max_centroid_distance": 2, "max_norm_shift": 1e9},
        [(None,)],
        columns="case when centroid_distance <= 2 then centroid_distance end",
    ),
]


def recall(name: str, judged: object, finds: list[tuple[Any, ...]], **others: Any) -> Case:  # noqa: ANN401
    arguments = {"id": "id", "judged": judged, **others}
    return Case(name, "neighbors_recall", "cloud", arguments, finds)


MISSED = [*FAR, (98, 1), (1, 99)]

RECALL = [
    recall("all_judged_are_found", "ref('judged')", [], k=3, at_least=1),
    recall("all_of_a_list", [list(pair) for pair in NEIGHBORS], [], k=3, at_least=1),
    recall("enough_are_found", "ref('misjudged')", [], k=3, at_least=0.75),
    recall(
        "too_few_are_found",
        "ref('misjudged')",
        [(str(query), str(other), 12 / 16) for query, other in MISSED],
        k=3,
    ),
    recall(
        "the_third_is_missed",
        "ref('judged')",
        [(str(query), str(nearest(query, 3)[-1]), 2 / 3) for query in (0, 1, 2, 3)],
        k=2,
    ),
    recall("a_row_is_no_neighbor_of_itself", [[0, 0]], [("0", "0", 0.0)]),
    recall("nothing_judged_at_all", "ref('nothing_judged')", [(None, None, 0.0)]),
]


def golden(name: str, relation: str, finds: list[tuple[Any, ...]], **others: Any) -> Case:  # noqa: ANN401
    arguments = {"key": "name", "golden": f"ref('{relation}')", **others}
    # Infinite is as good as none: what cannot be compared.
    columns = "golden_key, case when largest_difference < 1e9 then largest_difference end"
    return Case(name, "embedding_matches_golden", "animals", arguments, finds, columns)


BAD = {"golden_key": "key", "golden_embedding": "value"}

GOLDEN_CASES = [
    golden("golden_vectors", "golden", []),
    golden("golden_vectors_within_a_tolerance", "golden", [], tolerance="6e-5"),
    golden("golden_vectors_exactly", "golden", [("dog", 5e-5)], tolerance=0.00001),
    golden(
        "wrong_golden_vectors",
        "bad_golden",
        [
            ("1", None),
            ("car", None),
            ("cat", 0.001),
            ("dog", None),
            ("kitten", None),
            ("none", None),
            ("unknown", None),
        ],
        **BAD,
    ),
    Case(
        "a_golden_key_that_is_there_twice",
        "embedding_matches_golden",
        "twice",
        {"key": "name", "golden": "ref('golden')"},
        [("cat",)],
        columns="golden_key",
    ),
    golden("no_golden_at_all", "no_golden", [(None, None)], golden_embedding="value"),
]

STORED = [
    Case(
        "coverage_of_a_store",
        "embedding_coverage",
        "stored",
        {"status": "status"},
        [("failed",), ("unknown",)],
        columns="name",
    ),
    Case(
        "coverage_of_what_is_well",
        "embedding_coverage",
        "stored",
        {"status": "status"},
        where="name in ('ok', 'blank', 'old')",
    ),
    *(
        Case(
            name,
            "embedding_coverage",
            "stored",
            {"status": "status", "at_least": at_least},
            finds,
            columns="name, status, model_version",
        )
        for name, at_least, finds in (
            ("coverage_of_half", 0.5, []),
            ("too_little", "0.51", [("failed", "error", PIN["version"]), ("unknown", None, None)]),
        )
    ),
    Case(
        "versions",
        "embedding_version_is_current",
        "stored",
        {},
        [("old",)],
        columns="name",
        column="model_version",
    ),
    Case(
        "versions_of_what_is_well",
        "embedding_version_is_current",
        "stored",
        {"embedding_model": "tiny"},
        column="model_version",
        where="name <> 'old'",
    ),
]

CASES = [*SIMILAR, *ORDER, *SPREAD, *DRIFT, *RECALL, *GOLDEN_CASES, *STORED]

# A wrong argument, and what the error says.
IDS_WANTED = "or a relation with the columns a, b, such as ref('judged')."
WRONG: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "no_limit": (
        "embeddings_are_similar",
        "animals",
        {"id": "name", "pairs": [["cat", "dog"]], "at_least": "much"},
        "embeddings_are_similar: at_least is 'much'; it must be a number from -1 to 1, the least "
        "cosine similarity of a pair.",
    ),
    "limit_is_no_number": (
        "embedding_no_collapse",
        "animals",
        {"at_most": True},
        "embedding_no_collapse: at_most is True; it must be a number from -1 to 1, the most that "
        "the mean cosine similarity may be.",
    ),
    "negative_tolerance": (
        "embedding_is_not_constant",
        "animals",
        {"tolerance": -1},
        "embedding_is_not_constant: tolerance is -1; it must be a number from 0, the largest "
        "distance at which two vectors are equal.",
    ),
    "sample_is_not_whole": (
        "embedding_no_collapse",
        "animals",
        {"sample": 1.5},
        "embedding_no_collapse: sample is 1.5; it must be a whole number from 2, how many vectors "
        "to compare, each with each.",
    ),
    "one_id": (
        "embeddings_are_similar",
        "animals",
        {"id": "name", "pairs": [["cat", "dog"], ["cat"]]},
        "embeddings_are_similar: pairs has ['cat']; each of its entries must be a list of 2 ids, "
        "[a, b], texts or numbers. Or give a relation with the columns a, b, such as "
        "ref('judged').",
    ),
    "no_list_of_ids": (
        "embeddings_keep_order",
        "animals",
        {"id": "name", "triples": ["cat"]},
        "embeddings_keep_order: triples has 'cat'; each of its entries must be a list of 3 ids",
    ),
    "id_is_null": (
        "embeddings_are_similar",
        "animals",
        {"id": "name", "pairs": [["cat", None]]},
        "embeddings_are_similar: pairs has ['cat', None]; each of its entries must be",
    ),
    "no_pairs_in_the_list": (
        "embeddings_are_similar",
        "animals",
        {"id": "name", "pairs": []},
        f"embeddings_are_similar: pairs is []; it must be a list of lists of ids, [[a, b], …], "
        f"{IDS_WANTED}",
    ),
    "pairs_are_a_map": (
        "embeddings_are_similar",
        "animals",
        {"id": "name", "pairs": {"cat": "dog"}},
        "embeddings_are_similar: pairs is {'cat': 'dog'}; it must be a list of lists of ids",
    ),
    "empty_pairs": (
        "embeddings_are_similar",
        "animals",
        {"id": "name", "pairs": ""},
        "embeddings_are_similar: pairs is empty; it must be a ref, a source,",
    ),
    "empty_id": (
        "embeddings_keep_order",
        "animals",
        {"id": "", "triples": [["a", "b", "c"]]},
        "embeddings_keep_order: id is empty; it must be a SQL expression in quotes",
    ),
    "no_neighbors": (
        "neighbors_recall",
        "animals",
        {"id": "name", "judged": [["cat", "dog"]], "k": 0},
        "neighbors_recall: k is 0; it must be a whole number from 1, the number of neighbors to "
        "look at.",
    ),
    "negative_shift": (
        "embedding_drift",
        "animals",
        {"baseline": "ref('animals')", "max_norm_shift": -1},
        "embedding_drift: max_norm_shift is -1; it must be a number from 0, the share by which",
    ),
    "infinite_shift": (
        "embedding_drift",
        "animals",
        {"baseline": "ref('animals')", "max_norm_shift": "inf"},
        "embedding_drift: max_norm_shift is 'inf'; it must be a number from 0, the share by which",
    ),
    "no_distance": (
        "embedding_drift",
        "animals",
        {"baseline": "ref('animals')", "max_centroid_distance": "nan"},
        "embedding_drift: max_centroid_distance is 'nan'; it must be a number from 0 to 2, 1 minus",
    ),
    "empty_key": (
        "embedding_matches_golden",
        "animals",
        {"key": "", "golden": "ref('golden')"},
        "embedding_matches_golden: key is empty; it must be a SQL expression in quotes",
    ),
    "neither_text_nor_status": (
        "embedding_coverage",
        "stored",
        {},
        "embedding_coverage: it has neither text nor status; set text to the column of the "
        "texts, or status to the column status of an embedding store.",
    ),
    "both_text_and_status": (
        "embedding_coverage",
        "stored",
        {"text": "name", "status": "status"},
        "embedding_coverage: it has both text and status; set text",
    ),
    "share_in_percent": (
        "embedding_coverage",
        "stored",
        {"status": "status", "at_least": 95},
        "embedding_coverage: at_least is 95; it must be a number from 0 to 1, the least share of "
        "the rows with a text that have a vector.",
    ),
    "unknown_model": (
        "embedding_version_is_current",
        "stored",
        {"embedding_model": "use"},
        "embedding_version_is_current: model 'use' is not in var tf_embeddings_models (it has: "
        "tiny).",
    ),
}


@dataclass
class Built:
    """A project in which every case ran."""

    project: Project
    run: Run
    relations: dict[str, str]

    def rows(self, case: Case) -> list[tuple[Any, ...]]:
        """Return the rows that the test of a case found, sorted."""
        rows = self.project.rows(f"select {case.columns} from {self.relations[case.name]}")
        return sorted(rows, key=str)


@pytest.fixture(scope="module", params=ENGINES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A project that pins a model and stages none: what asked the model would fail."""
    folder = tmp_path_factory.mktemp("dbt") / "project"
    if request.param == "snowflake":
        project = make_snowflake_project(folder, request.getfixturevalue("local_snowflake"))
    else:
        project = make_project(folder, plugin=False)
    if request.param == "parquet":
        profile = yaml.safe_load((folder / "profiles.yml").read_text(encoding="utf-8"))
        profile[NAME]["outputs"]["dev"]["external_root"] = str(folder)
        project.write_yaml("profiles.yml", profile)
        project.configure(models={NAME: {"+materialized": "external"}})
    project.pin(tiny=PIN)
    models: dict[str, dict[str, list[Any]]] = {}
    for name, table in tables(PIN["version"]).items():
        project.write(f"models/{name}.sql", table.sql(ENGINES[request.param]))
        models[name] = {}
    wrong = [
        Case(name, test, table, arguments) for name, (test, table, arguments, _) in WRONG.items()
    ]
    for case in [*CASES, *SAMPLES, *wrong]:
        models[case.table].setdefault(case.column, []).append(case.properties())
    project.write_yaml(
        "models/properties.yml",
        {
            "models": [
                {
                    "name": name,
                    "columns": [
                        {"name": column, "data_tests": tests} for column, tests in columns.items()
                    ],
                }
                for name, columns in models.items()
            ]
        },
    )
    run = project.dbt("build", "--store-failures")
    return Built(project, run, {id_.split(".")[2]: one for id_, one in run.relations.items()})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_test_returns_what_fails(built: Built, case: Case) -> None:
    expected = sorted(case.finds, key=str)

    assert built.run.status(case.name) == ("fail" if expected else "pass"), built.run.errors
    found = built.rows(case)
    assert [_without_numbers(row) for row in found] == [_without_numbers(row) for row in expected]
    np.testing.assert_allclose(_numbers(found), _numbers(expected), atol=TOLERANCE)


def test_a_sample_is_of_the_vectors_whatever_their_order_and_number(built: Built) -> None:
    [(vectors, compared, mean)], [of_others] = (built.rows(case) for case in SAMPLES)

    assert (vectors, compared) == (40, 5)
    assert of_others[1:] == (5, pytest.approx(mean, abs=TOLERANCE))
    assert mean != pytest.approx(mean_cosine(CLOUD), abs=TOLERANCE)


def test_what_dbt_left_empty_passes(built: Built) -> None:
    """`dbt build --empty` failed each test of judged ids, of golden vectors and of a drift."""
    names = [case.name for case in [*CASES, *SAMPLES]]
    run = built.project.dbt("build", "--empty", "--exclude", *WRONG)
    built.project.dbt("run")

    assert {run.status(name) for name in names} == {"pass"}, run.errors


def test_ids_that_a_sample_leaves_out_pass(built: Built) -> None:
    """An id that is there without a vector fails as ever."""
    sampled = built.project.dbt("build", "--sample", "1 day", "--exclude", *WRONG)

    assert built.run.status("order_of_missing_ids") == "fail"
    assert sampled.status("order_of_missing_ids") == "pass"
    assert sampled.status("missing_ids") == "fail"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument(built: Built, name: str) -> None:
    assert built.run.status(name) == "error"
    assert WRONG[name][-1] in built.run.output


def _without_numbers(row: tuple[Any, ...]) -> list[Any]:
    return ["a number" if _is_number(cell) else cell for cell in row]


def _numbers(rows: list[tuple[Any, ...]]) -> list[float]:
    return [float(cell) for row in rows for cell in row if _is_number(cell)]


def _is_number(cell: object) -> bool:
    return not isinstance(cell, str) and cell is not None
