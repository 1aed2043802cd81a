"""A small project that uses all of the package, for dbt of another version, called as a process.

    programs = environment_of("1.11") / "bin"
    project = make_smoke_project(folder, None, artifacts=artifacts, embedder=tiny_embedder)
    smoke = Smoke(project, programs)
    smoke.dbt("build")

Its SQL is for both engines. Its models are `tiny`, the default, and `prefixed`, which gives other
vectors of the same length.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import makers
import pytest
from conftest import Saved
from duckdb_projects import PACKAGE, Project, make_project, stage
from makers import Artifact
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from tf_embeddings_udf import Embedder

VARS = {
    "tf_embeddings_sources": [{"ref": "notes", "column": "body"}],
    "tf_embeddings_default_model": "tiny",
}
SCRIPT = "dbt_packages/tf_embeddings/scripts/stage_model.py"
GOLDEN = ["the quick brown fox", "a person on a sunny day", "where is my invoice"]

NOTES = """\
select 1 as id, 'the quick brown fox' as body union all
select 2, 'where is my invoice' union all
select 3, 'a person on a sunny day' union all
select 4, 'where is my invoice' union all
select 5, '  ' union all
select 6, null
"""

ONLY_NEW = """\
{{ config(materialized='incremental', unique_key='id') }}
select
  id,
  body,
  {{ tf_embeddings.embed('body') }} as embedding,
  {{ tf_embeddings.embedding_version() }} as model_version,
  {{ tf_embeddings.text_hash('body') }} as text_hash,
  {{ tf_embeddings.token_count('body') }} as tokens
from {{ ref('notes') }}
{% if is_incremental() %}
  where id not in (select id from {{ this }})
{% endif %}
"""

JOINED = "{{ tf_embeddings.with_embeddings(ref('notes'), 'body', ref('embedding_store')) }}"

NEAREST = """\
{{ tf_embeddings.nearest_neighbors(
  ref('notes'), ref('joined'), query_id='id', corpus_id='id', k=2, query_text='body') }}
"""

DUPLICATES = "{{ tf_embeddings.near_duplicates(ref('joined'), id='id', threshold=0.999) }}"

DISTANCES = """\
select
  a.id,
  b.id as other_id,
  {{ tf_embeddings.cosine_similarity('a.embedding', 'b.embedding') }} as cosine_similarity,
  {{ tf_embeddings.inner_product('a.embedding', 'b.embedding') }} as inner_product,
  {{ tf_embeddings.l2_distance('a.embedding', 'b.embedding') }} as l2_distance
from {{ ref('joined') }} as a
cross join {{ ref('joined') }} as b
"""

PREFIXED = "{{ tf_embeddings.embedding_store({'ref': 'notes', 'column': 'body'}, 'prefixed') }}"

JUDGED = "select 2 as query_id, 4 as neighbor_id"

# Every data test of the package, and unit tests that run the model.
PROPERTIES = """\
models:
  - name: joined
    columns:
      - name: body
        data_tests: [tf_embeddings.text_is_not_truncated]
      - name: embedding
        data_tests:
          - tf_embeddings.embedding_dimension
          - tf_embeddings.embedding_is_finite
          - tf_embeddings.embedding_is_not_zero
          - tf_embeddings.embedding_is_unit_norm
          - tf_embeddings.embedding_is_not_constant
          - tf_embeddings.embedding_no_collapse: {arguments: {at_most: 0.999}}
          - tf_embeddings.embedding_coverage: {arguments: {text: body}}
          - tf_embeddings.embedding_drift: {arguments: {baseline: ref('only_new')}}
          - tf_embeddings.embeddings_are_similar: {arguments: {id: id, pairs: [[2, 4]]}}
          - tf_embeddings.embeddings_keep_order: {arguments: {id: id, triples: [[2, 4, 1]]}}
          - tf_embeddings.neighbors_recall: {arguments: {id: id, judged: ref('judged'), k: 1}}
          - tf_embeddings.embedding_matches_golden:
              arguments: {key: id, golden: ref('golden'), golden_embedding: vector}
      - name: model_version
        data_tests: [tf_embeddings.embedding_version_is_current]

unit_tests:
  - name: only_what_is_new_is_embedded
    model: only_new
    # dbt v2 cannot unit test an incremental model with a VECTOR column.
    config: {enabled: "{{ not dbt_version.startswith('2.') }}"}
    overrides: {macros: {is_incremental: true}}
    given:
      - input: ref('notes')
        rows: [{id: 1, body: a fox}, {id: 2, body: an owl}]
      - {input: this, format: sql, rows: "select 1 as id, 'a fox' as body"}
    expect:
      rows: [{id: 2, body: an owl}]
  - name: a_repeated_text_is_a_duplicate
    model: duplicates
    given:
      - input: ref('joined')
        format: sql
        # dbt reads this file without the packages' macros.
        rows: |
          select
            id,
            {% raw %}{{ tf_embeddings.embed('body') }}{% endraw %} as embedding,
            {% raw %}{{ tf_embeddings.embedding_version() }}{% endraw %} as model_version
          from (values (1, 'a fox'), (2, 'an owl'), (3, 'a fox')) as given (id, body)
    expect:
      rows: [{id_a: 1, id_b: 3}]
"""

FILES = {
    "models/notes.sql": NOTES,
    "models/only_new.sql": ONLY_NEW,
    "models/joined.sql": JOINED,
    "models/nearest.sql": NEAREST,
    "models/duplicates.sql": DUPLICATES,
    "models/distances.sql": DISTANCES,
    "models/judged.sql": JUDGED,
    "models/prefixed_store.sql": PREFIXED,
    "models/properties.yml": PROPERTIES,
}

# Each operation, its arguments, and what it says of this project after a build, in this order.
OPERATIONS: list[tuple[str, dict[str, object], str]] = [
    ("verify", {}, "tiny {version} {build}: 3 texts, largest difference 0"),
    ("status", {}, "{build}"),
    ("estimate", {}, "tiny   {version}  4      4         -                0 "),
    ("prune", {}, "Nothing to prune in 'embedding_store'."),
    (
        "compare_versions",
        {"model": "tiny", "other": "prefixed", "other_store": "prefixed_store", "k": 1},
        "In both: 3 texts, 3 of them compared.",
    ),
    ("stage_copy", {"model": "unused", "from": "@shared.artifacts"}, "unused is staged: @"),
    ("drop_unused", {"days": 0}, "unused: file "),
    ("drop_unused", {"days": 0, "drop": True}, "dropped: file "),
    ("drop_unused", {}, "Nothing is unused in "),
]

# Calls dbt several times in one process, whose imports take long.
CALLS = """\
import json, sys
from dbt.cli.main import dbtRunner
for arguments in json.loads(sys.argv[1]):
    if not dbtRunner().invoke(arguments).success:
        sys.exit(f"{arguments} failed")
"""

# Of each table, the columns that say what was embedded; the vectors come last.
COLUMNS = {
    "embedding_store": "text_hash, model_version, status, token_count, embedding",
    "prefixed_store": "text_hash, model_version, status, token_count, embedding",
    "only_new": "id, body, model_version, text_hash, tokens, embedding",
    "joined": "id, body, model_version, embedding",
    "nearest": "query_id, neighbor_id, neighbor_rank, cosine_similarity",
    "duplicates": "id_a, id_b, cosine_similarity",
    "distances": "id, other_id, cosine_similarity, inner_product, l2_distance",
}


def environment_of(version: str) -> Path:
    """Return the environment with dbt 1.11 or v2; without it, skip the test or the file.

    `make test-dbt-<version>` installs it, and names it in a variable: then it must be there.
    """
    variable = f"TF_EMBEDDINGS_DBT_{version.upper().replace('.', '_')}"
    environment = Path(os.environ.get(variable) or Path(sys.prefix) / f"dbt-{version}").absolute()
    if not (environment / "bin" / "dbt").is_file():
        command = f"make test-dbt-{version}"
        assert variable not in os.environ, f"{environment} has no dbt: {command} installs it"
        pytest.skip(f"dbt {version} is tested by: {command}", allow_module_level=True)
    return environment


def staging_programs(folder: Path, environment: Path) -> Path:
    """Make an environment with the dbt of another one and what staging needs; return its `bin`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(site, "ours.pth").write_text(sysconfig.get_path("purelib"))
    (folder / "bin" / "dbt").symlink_to(environment / "bin" / "dbt")
    return folder / "bin"


def public_in(folder: str) -> set[str]:
    """Return the names of the public macros in a folder of `macros`."""
    files = (PACKAGE / "macros" / folder).glob("*.sql")
    return {path.stem for path in files if not path.stem.startswith("_")}


def make_artifacts(saved: Saved, folder: Path) -> list[Artifact]:
    """Make `tiny` and `prefixed` as the CLI does: with their runtime and golden vectors."""
    meaning = saved[1]["meaning"]
    changes: dict[str, dict[str, Any]] = {
        "tiny": {},
        "prefixed": {"prefix": "a ", "meaning": {**meaning, "prefix": "a "}},
    }
    artifacts = [
        makers.write_artifact(*saved, folder / model, model=model, with_runtime=True, **change)
        for model, change in changes.items()
    ]
    return [makers.with_golden(artifact, GOLDEN) for artifact in artifacts]


def make_smoke_project(
    folder: Path,
    server: LocalSnowflake | None,
    *,
    artifacts: Iterable[Artifact],
    embedder: Embedder,
) -> Project:
    """Make the project on DuckDB or, with a server, on Snowflake; `embedder` is that of `tiny`."""
    files = {**FILES, "seeds/golden.csv": golden_seed(embedder)}
    if server is None:
        project = make_project(folder, artifacts=artifacts, files=files)
    else:
        project = make_snowflake_project(folder, server, artifacts=artifacts, files=files)
    project.configure(vars={**VARS, **project.vars()})
    return project


def put_unused(project: Project, saved: Saved, folder: Path) -> None:
    """Put the artifact `unused` of no pin where `stage_copy` finds it; on DuckDB, on the stage."""
    unused = makers.write_artifact(*saved, folder, model="unused", with_runtime=True)
    if isinstance(project, SnowflakeProject):
        project.put(unused, stage="shared.artifacts")
    else:
        stage(project, unused)


def make_demo(folder: Path) -> Project:
    """Copy the repository into a folder; return its demo, where nothing is staged or installed."""
    left_out = [".*", "dbt_packages", "logs", "target", "*.duckdb*", "tf_embeddings_stage"]
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns(*left_out))
    return Project(folder / "demo")


def golden_seed(embedder: Embedder) -> str:
    """Return the seed `golden`: the vectors of the first three notes, as JSON."""
    vectors = embedder.embed([GOLDEN[0], GOLDEN[2], GOLDEN[1]]).embeddings.tolist()
    rows = [f'{id_},"{json.dumps(vector)}"\n' for id_, vector in enumerate(vectors, start=1)]
    return "id,vector\n" + "".join(rows)


@dataclass(frozen=True)
class Smoke:
    """A project, and the programs of the environment whose dbt is called in it."""

    project: Project
    programs: Path

    def call(self, *command: str | Path) -> str:
        """Run a program of the environment in the project's folder; return what it prints."""
        name, *arguments = map(str, command)
        environment = {
            **os.environ,
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "DBT_PROFILES_DIR": str(self.project.folder),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_USE_COLORS": "false",
        }
        done = subprocess.run(
            [str(self.programs / name), *arguments],
            cwd=self.project.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name} {' '.join(arguments)}\n{done.stdout}"
        return done.stdout

    def dbt(self, *arguments: str) -> str:
        """Call dbt; return what it prints."""
        return self.call("dbt", *arguments)

    @property
    def operations(self) -> list[tuple[str, dict[str, object], str]]:
        """The operations that the project's engine has."""
        has_stages = isinstance(self.project, SnowflakeProject)
        return [one for one in OPERATIONS if has_stages or one[0] != "stage_copy"]

    def operate(self) -> str:
        """Call every operation of the package; return what they print."""
        calls = [
            ["run-operation", f"tf_embeddings.{name}", "--args", json.dumps(arguments)]
            for name, arguments, _ in self.operations
        ]
        return self.call("python", "-c", CALLS, json.dumps(calls))

    def passed_tests(self) -> set[str]:
        """Return the names of the generic data tests that passed in the last call of dbt."""
        target = self.project.folder / "target"
        nodes = json.loads((target / "manifest.json").read_text("utf-8"))["nodes"]
        results = json.loads((target / "run_results.json").read_text("utf-8"))
        passed = [one["unique_id"] for one in results["results"] if one["status"] == "pass"]
        return {nodes[id_]["test_metadata"]["name"] for id_ in passed if id_.startswith("test.")}

    def compiled(self) -> dict[str, str]:
        """Return the SQL of each model and test as dbt compiled it, without the run's id."""
        folder = self.project.folder / "target" / "compiled"
        return {
            path.name: re.sub(r"'[0-9a-f-]{36}'", "'the run'", path.read_text("utf-8"))
            for path in folder.rglob("*.sql")
        }

    def rows(self, table: str, columns: str = "") -> list[tuple[Any, ...]]:
        """Return the rows of a table of the project, in order."""
        columns = columns or COLUMNS[table]
        order = ", ".join(str(place + 1) for place in range(2))
        schema = "dev." if isinstance(self.project, SnowflakeProject) else ""
        return self.project.rows(f"select {columns} from {schema}{table} order by {order}")

    def stores(self) -> list[tuple[Any, ...]]:
        """Return when and in which run each row of a store was embedded."""
        columns = "text_hash, model_version, embedded_at, invocation_id"
        return [row for store in COLUMNS if "store" in store for row in self.rows(store, columns)]
