"""Every format of a model, from its source to its vectors in SQL, against the model itself.

Each model of the table is saved as its users have it, staged by the CLI into one project, and
embeds the same texts on both engines, in one run of dbt on each. The vectors must be those that a
direct call of the saved model gives, text by text: encoder_makers.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bert_folder
import encoder_makers
import numpy as np
import pytest
import static_folders
import yaml
from conftest import load_artifact
from duckdb_projects import Project, Run, make_project
from encoder_makers import Direct, Made, bert_tokens, truncated
from loopback import Server, gives, serve, speaks_tf_hub
from makers import CORPUS, Artifact
from safetensors.numpy import load_file
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from staging_cli import Done, stage_model
from tokenizers import Tokenizer

TOLERANCE = 1e-6

USE_LITE = json.loads(Path(__file__).with_name("published").joinpath("use_lite_2.json").read_text())

# absl's and C++'s lines, Python's warnings, and the logger of TensorFlow.
CHATTER = re.compile(
    r"^(?:[IWE]\d{4} .*|.*(?:WARNING|Warning: |tensorflow:|absl).*)$", re.MULTILINE
)

# What has no tokens has no vector, whatever the model.
BLANKS = ["", "   ", "\n\t \r\n", "\u00a0\u3000"]
ZERO_WIDTH = "\u200b"
PREFIX = "query: "

TEXTS: list[str | None] = [
    *CORPUS,
    *BLANKS,
    None,
    ZERO_WIDTH,
    "fox",
    "Fox",
    "a",
    "0",
    "the quick brown fox",
    "fox brown quick the",
    "the quick brown fox the quick brown fox",
    "  the quick\tbrown\n\nfox  ",
    'it\'s; a "text" -- with /* quotes */ \\ and $$ and {{ braces }}',
    "3.14159 26,535 2026-11-23 +44 20 7946 0958",
    "naïve café, cafe\u0301; Straße; ﬁne print; İstanbul",
    "😀",
    "👩‍👩‍👧‍👦 riding a 🐎 on a ☀️ day 🇺🇦",
    "यह एक वाक्य है",
    "นี่คือประโยคหนึ่ง",
    "זהו משפט אחד",
    "これは一つの文です",
    "이것은 한 문장입니다",
    "unknownwordsthatnoonehaseverseen zzzz qqqq",
    "the quick brown fox",
    " ".join(CORPUS),
    " ".join(f"word{number} fox" for number in range(300)),
    "lazydog" * 200,
]


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        save: makes the model.
        source: how it comes to the CLI: a folder or file as it is, an archive of it, the URL of
            one, or a handle that TF-Hub's protocol, or Kaggle's, answers.
        runs_on: the engine that staging chooses.
        options: flags beside those that the model needs.
        change: what the flags change of what a direct call gives.
    """

    save: Callable[[Path], Made]
    source: str = "as it is"
    runs_on: str = "tensorflow"
    options: tuple[str, ...] = ()
    change: Callable[[Made], Made] = field(default=lambda made: made)


def with_limit(limit: int) -> Callable[[Made], Made]:
    """Truncate as BERT's tokenizer does."""

    def change(made: Made) -> Made:
        tokens, of_ids = made.tokens, made.direct_of_ids
        assert tokens and of_ids

        def direct(texts: Sequence[str]) -> np.ndarray:
            return np.concatenate([of_ids(truncated(tokens(text), limit)) for text in texts])

        return replace(made, direct=as_float32(direct), max_tokens=limit)

    return change


def with_limit_and_prefix(limit: int, prefix: str) -> Callable[[Made], Made]:
    """Truncate as SentencePiece's users do, after the prefix was put before the text."""

    def change(made: Made) -> Made:
        tokens, of_ids = made.tokens, made.direct_of_ids
        assert tokens and of_ids

        def direct(texts: Sequence[str]) -> np.ndarray:
            return np.concatenate([of_ids(tokens(prefix + text)[:limit]) for text in texts])

        return replace(
            made,
            direct=as_float32(direct),
            tokens=lambda text: tokens(prefix + text) if tokens(text) else [],
            max_tokens=limit,
        )

    return change


def with_prefix(prefix: str) -> Callable[[Made], Made]:
    """Put a prefix before each text."""
    return lambda made: replace(
        made, direct=lambda texts: made.direct([prefix + text for text in texts])
    )


def cut_and_normalized(dimensions: int) -> Callable[[Made], Made]:
    """Keep the first numbers of a vector, and then scale it to length 1."""
    return lambda made: replace(
        made,
        direct=lambda texts: normalized(made.direct(texts)[:, :dimensions]),
        dimensions=dimensions,
    )


def normalized(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def as_float32(direct: Direct) -> Direct:
    return lambda texts: direct(texts).astype(np.float32)


def save_transformers_with_pooler(folder: Path) -> Made:
    return encoder_makers.save_transformers_saved_model(folder, "pooler_output", None)


def save_bert_folder(folder: Path) -> Made:
    """Save a BERT of random weights as Sentence Transformers does; `direct` is BERT in NumPy."""
    made = bert_folder.make_folder(folder, pooling="mean", normalize=True)
    tokens, limit = bert_tokens(folder), 20

    def vector(text: str) -> np.ndarray:
        ids = np.array([truncated(tokens(text), limit)])
        return normalized(bert_folder.embed_in_numpy(made, ids, np.ones_like(ids)))

    def direct(texts: Sequence[str]) -> np.ndarray:
        return np.concatenate([vector(text) for text in texts])

    return Made(made.path, "tokens", direct, (), tokens, None, limit, bert_folder.HIDDEN)


def save_static_folder(folder: Path) -> Made:
    """Save a table of token vectors; `direct` is their mean in NumPy, in float64."""
    static_folders.make(folder, "modules")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    table = load_file(folder / "model.safetensors")["embedding.weight"].astype(np.float64)

    def tokens(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    def direct(texts: Sequence[str]) -> np.ndarray:
        return normalized(np.array([table[tokens(text)].mean(0) for text in texts]))

    return Made(folder, "static", direct, (), tokens, None, None, static_folders.DIMENSIONS)


def save_transformers_with_new_axes(folder: Path) -> Made:
    return encoder_makers.save_transformers_saved_model(folder, new_axes=True)


CASES: dict[str, Case] = {
    "callable_text": Case(encoder_makers.save_callable_text, "handle"),
    "signature_default": Case(encoder_makers.save_signature_default_text, ".zip"),
    "serving_default": Case(encoder_makers.save_serving_default_text),
    "rank2": Case(encoder_makers.save_rank2_text, ".tar.gz"),
    "dict_output": Case(encoder_makers.save_dict_output_text, "URL"),
    "callable_dict": Case(encoder_makers.save_callable_dict, "Kaggle"),
    "list_output": Case(encoder_makers.save_list_output),
    "two_vectors": Case(encoder_makers.save_two_vectors_text),
    "tf1_text_module": Case(encoder_makers.save_tf1_text_module, "handle"),
    "use_lite": Case(encoder_makers.save_use_lite_module, "handle", "litert"),
    "keras_export": Case(encoder_makers.save_keras_export),
    "keras_file": Case(encoder_makers.save_keras_file),
    "transformers": Case(encoder_makers.save_transformers_saved_model, runs_on="litert"),
    "transformers_pooler": Case(save_transformers_with_pooler, ".tar.gz", "litert"),
    "transformers_new_axes": Case(save_transformers_with_new_axes),
    "preprocessor_pair": Case(encoder_makers.save_preprocessor_pair),
    "text_ops": Case(encoder_makers.save_text_ops_model),
    "bert_folder": Case(save_bert_folder, runs_on="litert"),
    "static_folder": Case(save_static_folder, ".zip", "litert"),
}

# Options that belong to a model; its function runs them in Python, whatever the engine.
OPTIONS: dict[str, Case] = {
    "cut_and_normalized": Case(
        encoder_makers.save_callable_text,
        options=("--truncate-dim", "5", "--normalize"),
        change=cut_and_normalized(5),
    ),
    "text_with_prefix": Case(
        encoder_makers.save_serving_default_text,
        options=("--prefix", PREFIX),
        change=with_prefix(PREFIX),
    ),
    "few_tokens": Case(
        encoder_makers.save_transformers_saved_model,
        runs_on="litert",
        options=("--max-tokens", "10"),
        change=with_limit(10),
    ),
    "few_pieces_with_prefix": Case(
        encoder_makers.save_use_lite_module,
        runs_on="litert",
        options=("--max-tokens", "12", "--prefix", PREFIX),
        change=with_limit_and_prefix(12, PREFIX),
    ),
}
COUNTING = {
    "use_lite",
    "transformers",
    "transformers_pooler",
    "transformers_new_axes",
    "bert_folder",
    "static_folder",
    "few_tokens",
    "few_pieces_with_prefix",
}


# A function on Snowflake gets texts in another way, which is the same for models that need the
# same packages: one of each stands for the others.
ON_SNOWFLAKE = {"callable_text", "use_lite", "transformers_new_axes", "text_ops", "bert_folder"} | {
    "static_folder"
}
# Staging takes most of the time: on DuckDB these stand for the others in `make test`.
ON_DUCKDB = ON_SNOWFLAKE | {"serving_default", "keras_file", "few_pieces_with_prefix"}


ON_ENGINES = [
    pytest.param(
        engine,
        name,
        id=f"{engine}-{name}",
        marks=[] if name in common else pytest.mark.exhaustive,
    )
    for engine, names, common in (
        ("duckdb", CASES | OPTIONS, ON_DUCKDB),
        ("snowflake", CASES, ON_SNOWFLAKE),
    )
    for name in names
]
on_engines = pytest.mark.parametrize(("engine", "name"), ON_ENGINES)
counting_on_engines = pytest.mark.parametrize(
    ("engine", "name"), [case for case in ON_ENGINES if case.values[1] in COUNTING]
)


MODEL = """
with outcomes as (
  select
    id,
    {{ tf_embeddings.embed('body', 'NAME') }} as embedding,
    {% if execute %}
      {{ tf_embeddings._outcome('body', tf_embeddings._pin('NAME')) }} as outcome,
      {{ tf_embeddings.token_count('body', 'NAME') if COUNTS else 'null' }} as tokens
    {% endif %}
  from {{ target.schema }}.texts
)

select
  id,
  embedding,
  tokens,
  {% if target.type == 'snowflake' %}
    as_varchar(get(outcome, 'status')) as status,
    as_integer(get(outcome, 'token_count')) as token_count,
    as_boolean(get(outcome, 'is_truncated')) as is_truncated
  {% else %}
    outcome.status,
    outcome.token_count,
    outcome.is_truncated
  {% endif %}
from outcomes
"""


@dataclass(frozen=True)
class Staged:
    """The models of the tests that run, staged by the CLI in one project on DuckDB.

    `cases` are the engines and models of these tests.
    """

    project: Project
    models: dict[str, Made]
    calls: dict[str, Done]
    cases: frozenset[tuple[str, str]] = frozenset()

    @property
    def pins(self) -> dict[str, Any]:
        content = yaml.safe_load((self.project.folder / "dbt_project.yml").read_text())
        return content["vars"]["tf_embeddings_models"]

    def names_on(self, engine: str) -> list[str]:
        """Return the models that are staged, and embed on an engine."""
        return [name for name in self.pins if (engine, name) in self.cases]

    def artifact(self, name: str) -> Artifact:
        pin = self.pins[name]
        version, build = pin["version"], pin["build"]
        return Artifact(
            self.project.stage / name / version / f"{name}-{build}.zip",
            name,
            version,
            build,
            pin["dimensions"],
            pin["kind"],
            tuple(pin["packages"]),
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as server:
        yield server


def source_of(path: Path, how: str, folder: Path, server: Server) -> str:
    """Bring a model into the form in which the CLI gets it."""
    if how == "as it is":
        return str(path)
    if how == ".zip":  # in a folder of its own, as a file manager makes it
        return shutil.make_archive(str(folder / "archive"), "zip", path.parent, path.name)
    archive = shutil.make_archive(str(folder / "archive"), "gztar", path)
    if how == ".tar.gz":
        return archive
    content = gives(Path(archive).read_bytes())
    if how == "Kaggle":
        model = f"google/{folder.name}/TensorFlow2/small/1"
        server.at(f"/api/v1/models/{model}/download", content)
        return f"kaggle:{model}"
    url = server.at(f"/files/{folder.name}.tar.gz", content)
    return url if how == "URL" else server.at(f"/google/{folder.name}/1", speaks_tf_hub(url))


@dataclass(frozen=True)
class Row:
    """What an engine gave for one text."""

    embedding: list[float] | None
    status: str | None
    token_count: int | None
    is_truncated: bool | None


@dataclass(frozen=True)
class Embedded:
    """What one run of dbt made of the texts on one engine."""

    run: Run
    project: Project

    def rows(self, name: str) -> list[Row]:
        """Return what a model gave for the texts, in their order."""
        assert self.run.status(f"by_{name}") == "success", self.run.errors
        found = self.query(
            f"select embedding, status, token_count, is_truncated from {{schema}}by_{name} "
            f"order by id"
        )
        return [Row(*row) for row in found]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Query with the schema's name and its dot in place of `{schema}`."""
        schema = "dev" if isinstance(self.project, SnowflakeProject) else "main"
        return self.project.rows(sql.format(schema=f"{schema}.", audit=f"{schema}_dbt_test__audit"))


@pytest.fixture(scope="module")
def staged(
    tmp_path_factory: pytest.TempPathFactory, server: Server, request: pytest.FixtureRequest
) -> Staged:
    folder = tmp_path_factory.mktemp("models")
    project = make_project(tmp_path_factory.mktemp("duckdb") / "project")
    environment = {
        "TF_EMBEDDINGS_CACHE": str(tmp_path_factory.mktemp("cache")),
        "TFHUB_CACHE_DIR": str(tmp_path_factory.mktemp("tfhub")),
        "KAGGLE_API_ENDPOINT": server.address,
    }
    models: dict[str, Made] = {}
    calls: dict[str, Done] = {}
    pins: dict[str, Any] = {}
    params = [getattr(item, "callspec", None) for item in request.session.items]
    cases = {(one.params.get("engine"), one.params.get("name")) for one in params if one}
    asked = {name for _, name in cases}
    for name, case in (CASES | OPTIONS).items():
        if name not in asked:
            continue
        made = case.save(folder / name / "model")
        models[name] = case.change(made)
        source = source_of(made.path, case.source, folder / name, server)
        options = [*made.options, *case.options]
        # Written all at once: dbt parses a project again when its vars have changed.
        calls[name] = done = stage_model(project, source, "--name", name, *options, **environment)
        if not done.returncode:
            pins |= yaml.safe_load(done.stdout)["vars"]["tf_embeddings_models"]
    project.pin(**pins)
    return Staged(project, models, calls, frozenset(cases))


@pytest.fixture(scope="module")
def on_duckdb(staged: Staged) -> Embedded:
    project = staged.project
    project.execute("create table texts (id integer, body varchar)")
    project.insert("texts", enumerate(TEXTS))
    return embed(project, "duckdb", staged)


@pytest.fixture(scope="module")
def on_snowflake(
    staged: Staged, local_snowflake: LocalSnowflake, tmp_path_factory: pytest.TempPathFactory
) -> Embedded:
    folder = tmp_path_factory.mktemp("snowflake") / "project"
    artifacts = [staged.artifact(name) for name in staged.names_on("snowflake")]
    project = make_snowflake_project(folder, local_snowflake, artifacts=artifacts)
    project.execute("create schema dev")
    project.execute("create table dev.texts (id integer, body varchar)")
    with local_snowflake.connect(database=project.name, schema="dev") as connection:
        rows = list(enumerate(TEXTS))
        connection.cursor().executemany("insert into texts values (%s, %s)", rows)
    return embed(project, "snowflake", staged)


@pytest.fixture
def embedded(engine: str, request: pytest.FixtureRequest) -> Embedded:
    return request.getfixturevalue(f"on_{engine}")


def embed(project: Project, engine: str, staged: Staged) -> Embedded:
    """Embed the table of texts with every model, and test it, in one run of dbt."""
    names = staged.names_on(engine)
    for name in names:
        model = MODEL.replace("NAME", name).replace("COUNTS", str(name in COUNTING))
        project.write(f"models/by_{name}.sql", model)
    project.write_yaml("models/properties.yml", properties(names))
    return Embedded(project.dbt("build"), project)


@on_engines
def test_vectors_are_those_that_the_model_itself_gives(
    name: str, staged: Staged, embedded: Embedded
) -> None:
    done = staged.calls[name]
    assert done.returncode == 0, done.stderr
    made, rows = staged.models[name], embedded.rows(name)
    with_vector = [number for number, text in enumerate(TEXTS) if has_vector(made, text)]
    assert [n for n, row in enumerate(rows) if row.embedding is not None] == with_vector

    expected = made.direct([TEXTS[number] or "" for number in with_vector])
    found = np.array([rows[number].embedding for number in with_vector], np.float32)
    assert found.shape == expected.shape == (len(with_vector), made.dimensions)
    differences = np.abs(found - expected).max(1)
    assert differences.max() < TOLERANCE, TEXTS[with_vector[int(differences.argmax())]]


@pytest.mark.parametrize(
    ("engine", "name"), [case for case in ON_ENGINES if case.values[0] == "duckdb"]
)
def test_each_runs_on_litert_if_it_can(engine: str, name: str, staged: Staged) -> None:
    case, artifact = (CASES | OPTIONS)[name], staged.artifact(name)
    with zipfile.ZipFile(artifact.path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["engine"] == case.runs_on
    package = {"litert": "ai-edge-litert", "tensorflow": "tensorflow"}[case.runs_on]
    assert {"ai-edge-litert", "tensorflow"} & {*artifact.packages} == {package}
    spoken = {"litert": "LiteRT", "tensorflow": "TensorFlow"}[case.runs_on]
    assert f"Engine of {name}: {spoken}. " in staged.calls[name].stderr


@on_engines
def test_the_outcome_tells_what_became_of_a_text(
    name: str, staged: Staged, embedded: Embedded
) -> None:
    """token_count and is_truncated are NULL where the tokenizer is inside the model."""
    made, rows = staged.models[name], embedded.rows(name)
    for text, row in zip(TEXTS, rows, strict=True):
        count, is_truncated = counted(made, text)
        assert (row.token_count, row.is_truncated) == (count, is_truncated), text
        if text is not None:
            assert row.status == ("ok" if has_vector(made, text) else "blank"), text


@counting_on_engines
def test_tokens_are_counted_in_sql(name: str, staged: Staged, embedded: Embedded) -> None:
    rows = embedded.query(f"select tokens from {{schema}}by_{name} order by id")
    expected = [counted(staged.models[name], text)[0] for text in TEXTS]
    assert [tokens for (tokens,) in rows] == expected


@counting_on_engines
def test_a_data_test_finds_the_texts_that_are_truncated(
    name: str, staged: Staged, embedded: Embedded
) -> None:
    expected = [
        number for number, text in enumerate(TEXTS) if counted(staged.models[name], text)[1]
    ]
    assert embedded.run.status(f"truncated_by_{name}") == ("warn" if expected else "pass")
    found = embedded.query(f"select id from {{audit}}.truncated_by_{name} order by id")
    assert [number for (number,) in found] == expected


def test_staging_shows_nothing_that_tensorflow_logs(staged: Staged) -> None:
    for done in staged.calls.values():
        assert not CHATTER.findall(done.stderr)


def test_a_model_with_its_tokenizer_inside_cannot_count(staged: Staged, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.pin(tickets=staged.pins["serving_default"])
    project.write("models/a.sql", "select {{ tf_embeddings.token_count(\"'a'\") }} as tokens")
    run = project.dbt("compile")
    assert not run.success
    assert "token_count: model 'tickets'" in run.output


def properties(names: Sequence[str]) -> dict[str, Any]:
    """Return the table of texts as a source, with one data test for each model that counts."""
    tests = [
        {
            "tf_embeddings.text_is_not_truncated": {
                "name": f"truncated_by_{name}",
                "arguments": {"embedding_model": name},
                "config": {"severity": "warn", "store_failures": True},
            }
        }
        for name in names
        if name in COUNTING
    ]
    columns = [{"name": "body", "data_tests": tests}]
    table = {"name": "texts", "columns": columns}
    schema = "{{ target.schema }}"
    return {"sources": [{"name": "given", "schema": schema, "tables": [table]}]}


def has_vector(made: Made, text: str | None) -> bool:
    if text is None or not text.strip():
        return False
    return made.tokens is None or bool(made.tokens(text))


def counted(made: Made, text: str | None) -> tuple[int | None, bool | None]:
    """Return the number of a text's tokens, and whether some of them are cut off."""
    if made.tokens is None or text is None:
        return None, None
    count = len(made.tokens(text)) if text.strip() else 0
    return count, made.max_tokens is not None and count > made.max_tokens


def real_use_lite() -> Path | None:
    """Return the folder of the real Universal Sentence Encoder lite, where it is at hand."""
    given = os.environ.get("TF_EMBEDDINGS_USE_LITE")
    if given:
        return Path(given)
    caches = os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    cached = Path(caches, hashlib.sha1(USE_LITE["model"].encode()).hexdigest())
    return cached if cached.is_dir() else None


def test_universal_sentence_encoder_lite_gives_its_published_vectors(tmp_path: Path) -> None:
    from sentencepiece import SentencePieceProcessor

    folder = real_use_lite()
    if folder is None:
        pytest.skip(
            f"the real model is not at hand: put its folder into TF_EMBEDDINGS_USE_LITE, or "
            f"{USE_LITE['model']} into TF-Hub's cache"
        )
    project = make_project(tmp_path / "project")
    done = stage_model(project, folder, "--name", "use_lite", "--write")
    assert done.returncode == 0, done.stderr
    staged = Staged(project, {}, {"use_lite": done})
    artifact = staged.artifact("use_lite")
    texts = [one["text"] for one in USE_LITE["vectors"]]
    embedder = load_artifact(artifact)

    found = embedder.embed(texts).embeddings
    expected = np.array([one["embedding"] for one in USE_LITE["vectors"]], np.float32)
    assert np.abs(found - expected).max() <= USE_LITE["tolerance"]["component"]
    cosines = (normalized(found) * normalized(expected)).sum(1)
    assert (1 - cosines).max() <= USE_LITE["tolerance"]["cosine"]

    with zipfile.ZipFile(artifact.path) as archive:
        encoder = json.loads(archive.read("manifest.json"))["encoder"]
        pieces = SentencePieceProcessor(
            model_proto=archive.read(f"model/{encoder['sentencepiece']}")
        )
    for one in USE_LITE["token_ids"]:
        assert pieces.encode(one["text"]) == one["ids"]
        assert embedder.embed([one["text"]]).token_counts.tolist() == [len(one["ids"])]
