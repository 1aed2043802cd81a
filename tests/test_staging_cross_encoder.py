"""Cross-encoders: what Sentence Transformers' CrossEncoder gives for them, they give here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformer_folder
from conftest import load_artifact, unpacked
from makers import Artifact
from tf_embeddings_staging.building.golden_vectors import check_scores
from tf_embeddings_staging.building.known import check, texts
from tf_embeddings_staging.catalogue import Known
from tf_embeddings_staging.conversion.encoder_folder import EncoderFolder
from tf_embeddings_staging.conversion.folders import likely_kind, read_folder
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options
from tf_embeddings_udf import Embedder, read_manifest
from tf_embeddings_udf.encoders import Prepared, load_encoder
from tf_embeddings_udf.encoders.pairs import as_pair, as_text, longest_first
from tf_embeddings_udf.planner import Planner
from tf_embeddings_udf.verify import report

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "cross_encoders.json").read_text())
CASES: dict[str, dict[str, Any]] = FIXTURE["cases"]
PAIRS: list[list[str]] = FIXTURE["pairs"]
TOLERANCE = 1e-5
IDENTITY = "torch.nn.modules.linear.Identity"


def scores_of(encoder: EncoderFolder, case: dict[str, Any], segments: bool) -> np.ndarray:
    """Return the scores of a case's token ids, from the graph that is converted."""
    import tensorflow as tf
    from tf_embeddings_staging.conversion.transformer import read_weights
    from tf_embeddings_staging.conversion.transformer_graph import Encoder

    weights = read_weights(encoder.config, encoder.weights, with_head=True)
    graph = Encoder(encoder.config, weights, encoder.pooling, (), encoder.scoring)
    longest = max(map(len, case["input_ids"]))
    inputs = [
        [[*row, *[0] * (longest - len(row))] for row in rows]
        for rows in (
            case["input_ids"],
            [[1] * len(row) for row in case["input_ids"]],
            *([case["token_type_ids"]] if segments else []),
        )
    ]
    given = [tf.constant(np.array(one, np.int32)) for one in inputs]
    return graph.embed(*given)["embedding"].numpy()[:, 0]


@pytest.mark.parametrize("name", CASES)
def test_a_cross_encoder_gives_what_sentence_transformers_gives(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    folder = transformer_folder.make(tmp_path / "encoder", case)
    encoder = read_folder(folder, Options())
    assert isinstance(encoder, EncoderFolder)
    segments = case["token_type_ids"] is not None
    scores = np.array(case["scores"])

    assert likely_kind(folder) == encoder.model.kind == "pairs"
    assert encoder.scoring is not None
    assert encoder.scoring.has_segments == segments
    assert np.ptp(scores) > 0.01  # the pairs differ
    assert np.abs(scores_of(encoder, case, segments) - scores).max() < TOLERANCE


@pytest.fixture(scope="module")
def embedder(ranker: Artifact) -> Embedder:
    return load_artifact(ranker)


def test_its_artifact_runs_on_litert_and_gives_the_same(
    ranker: Artifact, embedder: Embedder
) -> None:
    assert (ranker.kind, ranker.dimensions, embedder.manifest.normalize) == ("pairs", 1, False)
    outcomes = embedder.embed([as_text(*pair) for pair in PAIRS])
    longest = max(len(query.split()) + len(text.split()) + 3 for query, text in PAIRS)

    assert embedder.engine.name == "litert"
    assert np.abs(outcomes.embeddings[:, 0] - np.array(CASES["bert"]["scores"])).max() < TOLERANCE
    assert outcomes.token_counts.max() == longest  # those of the whole pair
    assert outcomes.is_truncated.tolist() == [count > 30 for count in outcomes.token_counts]


def test_the_golden_texts_are_pairs_of_different_scores(
    ranker: Artifact, embedder: Embedder
) -> None:
    golden = json.loads((unpacked(ranker) / "golden.json").read_text())

    assert all(as_pair(text) for text in golden["texts"])
    assert len(golden["vectors"]) == 15
    assert len(set(golden["vectors"])) > 10  # it has few words: some texts are all unknown ones
    assert report(embedder, unpacked(ranker))["largest_difference"] < TOLERANCE


def test_a_text_that_is_no_pair_is_an_error_and_a_blank_side_is_blank(embedder: Embedder) -> None:
    texts = [
        "dog",
        "4:dog",
        "03:dogcat",
        ":dog",
        "-1:dog",
        as_text("", "dog"),
        as_text("dog", " \n"),
        None,
        "9" * 5000 + ":",
        as_text("dog", "cat"),
    ]
    statuses = embedder.embed(texts).statuses.tolist()

    assert statuses == [*["error"] * 5, "blank", "blank", "null", "error", "ok"]
    assert embedder.count([as_text("dog", "the cat")]).token_counts.tolist() == [6]


def test_a_score_of_0_is_a_score(embedder: Embedder) -> None:
    class Zero:
        """The model, with a score of 0 for each pair."""

        engine = embedder.engine
        budget = 1024

        def prepare(self, texts: Sequence[str]) -> list[Prepared]:
            return [Prepared(text, 1, 1, is_truncated=False) for text in texts]

        def run(self, payloads: Sequence[str]) -> np.ndarray:
            return np.zeros((len(payloads), 1), np.float32)

    outcomes = Planner(Zero(), embedder.manifest).embed(["4:dogs", "3:catdog"])

    assert outcomes.statuses.tolist() == ["ok", "ok"]
    assert outcomes.valid.all()


@pytest.mark.parametrize("pair", [("", ""), ("a:b", "1:c"), ("👩\u200d🚀", "é"), ("3:", "\0")])
def test_a_pair_is_one_text_and_comes_back(pair: tuple[str, str]) -> None:
    assert as_pair(as_text(*pair)) == pair


def test_both_sides_are_truncated_as_hugging_face_does() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.pre_tokenizer = WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    for most in range(2, 9):
        tokenizer.enable_truncation(most, strategy="longest_first")
        for query in range(1, 12):
            for text in range(1, 12):
                if query + text <= most:
                    continue
                ids = tokenizer.encode("a " * query, "b " * text).ids
                kept = longest_first(query, text, most)
                assert kept == (ids.count(0), ids.count(1)), (query, text, most)


@pytest.mark.parametrize("direction", ["right", "left"])
def test_a_truncated_pair_has_the_tokens_that_hugging_face_leaves(
    direction: str, ranker: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer

    folder = unpacked(ranker)
    tokenizer = Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    long = " ".join(query for query, _ in PAIRS)
    pairs = [*PAIRS, [long, "cat"], ["cat", long], [long, long], ["dog [SEP] cat", long]]
    manifest = read_manifest(folder)
    for most in (6, 7, 12, 30):
        limited = replace(manifest, encoder={**manifest.encoder, "max_tokens": most})
        encoder = load_encoder(limited, folder, 1)
        monkeypatch.setattr(encoder, "_direction", direction)
        tokenizer.enable_truncation(most, strategy="longest_first", direction=direction)
        prepared = encoder.prepare([as_text(*pair) for pair in pairs])
        wanted = [tokenizer.encode(query, text) for query, text in pairs]

        assert [one.payload.tolist() for one in prepared] == [
            [one.ids, one.type_ids] for one in wanted
        ]
        assert [one.is_truncated for one in prepared] == [bool(one.overflowing) for one in wanted]


BERT = CASES["bert"]


def changed(case: Mapping[str, Any], name: str, **fields: object) -> dict[str, Any]:
    """Return a case with other fields in one of its files; None removes a field."""
    content = {**case["files"].get(name, {}), **fields}
    content = {key: value for key, value in content.items() if value is not None}
    return {**case, "files": {**case["files"], name: content}}


def test_settings_without_modules_json_are_not_read(tmp_path: Path) -> None:
    """Sentence Transformers 6.2 does not read them either: the activation is config.json's."""
    settings = "config_sentence_transformers.json"
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    case = changed(CASES["bert"], settings, activation_fn="torch.nn.Sigmoid", **prompts)
    encoder = read_folder(transformer_folder.make(tmp_path / "encoder", case), Options())
    assert isinstance(encoder, EncoderFolder)
    assert encoder.scoring is not None
    assert encoder.scoring.activation == "identity"


def with_pair(case: Mapping[str, Any], **types: int) -> dict[str, Any]:
    """Return a case whose tokenizer makes a pair of these texts, with these types."""
    old = case["files"]["tokenizer.json"]["post_processor"]
    pair = [{"Sequence": {"id": name, "type_id": number}} for name, number in types.items()]
    return changed(case, "tokenizer.json", post_processor={**old, "pair": pair})


REFUSED = {
    "two labels": (
        changed(BERT, "config.json", id2label={"0": "no", "1": "yes"}),
        "'config.json' says that the classifier has 2 labels; rerank takes models that give one",
    ),
    "no labels said": (changed(BERT, "config.json", id2label=None), "has 2 labels"),
    "another activation": (
        changed(BERT, "config.json", sbert_ce_default_activation_function="torch.nn.Tanh"),
        "says sbert_ce_default_activation_function 'torch.nn.Tanh'; the converter knows the "
        "activations Identity and Sigmoid of torch.nn.",
    ),
    "an activation of one's own": (
        changed(BERT, "config.json", sentence_transformers={"activation_fn": "mine.Scaled"}),
        "'config.json' says sentence_transformers.activation_fn 'mine.Scaled'",
    ),
    "another family": (
        changed(BERT, "config.json", model_type="modernbert"),
        "says model_type 'modernbert'; of cross-encoders the converter knows 'bert', 'camembert',",
    ),
    "a prompt": (
        changed(
            CASES["bert_of_today"],
            "config_sentence_transformers.json",
            prompts={"query": "query: "},
            default_prompt_name="query",
        ),
        "puts the prompt 'query: ' before texts, and rerank knows no prompts",
    ),
    "another module": (
        changed(CASES["bert_of_today"], "config.json")
        | {
            "files": {
                **CASES["bert_of_today"]["files"],
                "modules.json": [
                    {"type": "sentence_transformers.models.Transformer", "path": ""},
                    {"type": "sentence_transformers.models.B", "path": "1"},
                ],
            }
        },
        "'modules.json' asks for Transformer + B; of a cross-encoder the converter knows",
    ),
    "a limit that is not read": (
        changed(BERT, "config.json")
        | {"files": {**BERT["files"], "sentence_bert_config.json": {"max_seq_length": 12}}},
        "'sentence_bert_config.json' lies in a cross-encoder without modules.json",
    ),
    "a limit that no pair fits": (
        changed(BERT, "tokenizer_config.json", model_max_length=4),
        "the cross-encoder's limit is 4 tokens, and a pair of texts needs at least 6",
    ),
    "a tokenizer of another model": (
        changed(BERT, "config.json", vocab_size=11),
        "and config.json says vocab_size 11. Is it this model's own tokenizer?",
    ),
    "a type that the model has not": (
        with_pair(BERT, A=0, B=2),
        "the post_processor in 'tokenizer.json' gives tokens of a pair the type 2, and config.json "
        "says type_vocab_size 2. Is it this model's own tokenizer?",
    ),
    "the text before the query": (
        with_pair(BERT, B=0, A=1),
        "the post_processor in 'tokenizer.json' makes a pair of B + A; the converter knows A + B, "
        "the query and then the text. Save the tokenizer as you use it",
    ),
    "no tokenizer": (
        {**BERT, "files": {k: v for k, v in BERT["files"].items() if k != "tokenizer.json"}},
        "has no 'tokenizer.json'; the converter needs the fast tokenizer. Save it there, with "
        "AutoTokenizer.from_pretrained(folder).save_pretrained(folder).",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_a_score_is_refused(name: str, tmp_path: Path) -> None:
    case, said = REFUSED[name]
    folder = transformer_folder.make(tmp_path / "encoder", case)
    with pytest.raises(StagingError) as refusal:
        read_folder(folder, Options())
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(pooling="mean"), "--pooling is for models that give vectors, and 'encoder' is"),
        (Options(truncate_dim=1), "--truncate-dim is for models that give vectors"),
        (Options(prefix="query: "), "--prefix is for models that give vectors"),
        (Options(normalize=False), "--normalize is for models that give vectors"),
        (Options(max_tokens=5), "--max-tokens 5: this encoder takes from 6 to 64 tokens"),
        (Options(kind="tokens"), "has neither modules.json nor 1_Pooling/config.json"),
        (Options(kind="tokens", pooling="mean"), "has classifier.bias and 1 more, which an"),
    ],
)
def test_options_that_a_cross_encoder_has_not(options: Options, said: str, tmp_path: Path) -> None:
    from tf_embeddings_staging.conversion.transformer import read_weights

    folder = transformer_folder.make(tmp_path / "encoder", BERT)
    with pytest.raises(StagingError) as refusal:
        encoder = read_folder(folder, options)
        assert isinstance(encoder, EncoderFolder)
        read_weights(encoder.config, encoder.weights)
    assert said in str(refusal.value)


def test_a_head_of_another_task_is_no_cross_encoder(tmp_path: Path) -> None:
    case = changed(BERT, "config.json", architectures=["BertForMaskedLM"])
    folder = transformer_folder.make(tmp_path / "encoder", case)
    with pytest.raises(StagingError, match=r"neither modules\.json nor 1_Pooling/config\.json"):
        read_folder(folder, Options())
    with pytest.raises(StagingError, match=r"architectures \['BertForMaskedLM'\]; a cross-encod"):
        read_folder(folder, Options(kind="pairs"))


def test_published_scores_are_compared() -> None:
    known = Known("its card", 1e-3, scores=(("dog", "cat", 1.5),))
    assert texts(known) == ["3:dogcat"]
    check(known, {"3:dogcat": [1.5004]})
    with pytest.raises(StagingError, match=r"score of 'dog' with 'cat' comes out as 1\.502000"):
        check(known, {"3:dogcat": [1.502]})


def test_equal_scores_are_refused() -> None:
    check_scores({"1:ab": [0.5], "1:cd": [0.25]})
    with pytest.raises(StagingError, match=r"gives every pair of texts the score 0\.5\. Were the"):
        check_scores({"1:ab": [0.5], "1:cd": [0.5]})
