"""What a SavedModel is, is found by looking; where more than one thing could be meant, it asks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import encoder_makers
import makers
import numpy as np
import pytest
import record_tokenizers
import tf_embeddings_udf
from encoder_makers import Made
from graph_makers import TEXTS, Tensor, edited, lengths, save, save_text
from inspecting import choice_of, examine, find, measured, survey
from tf_embeddings_staging import inspection
from tf_embeddings_staging.building.build import build, look
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching.fetch import materialize
from tf_embeddings_staging.inspection import inspect_task
from tf_embeddings_staging.inspection.tokenizer_file import rewritten
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local

IDS = ([None, None], "int32", "input_ids")
PROMPTS = "config_sentence_transformers.json"
MASK = ([None, None], "int32", "attention_mask")


def vectors(texts: Tensor) -> dict[str, Tensor]:
    return {"vector": lengths(texts)}


def refusal(folder: Path, options: Options | None = None, preprocessor: Path | None = None) -> str:
    with pytest.raises(StagingError) as error:
        find(folder, options or Options(), preprocessor)
    return str(error.value)


# --- each format that there is


def text(signature: str, name: str | None, output: str | None, **others: object) -> dict[str, Any]:
    return {
        "tags": ["serve"],
        "signature": signature,
        "input": name,
        "rank": 1,
        "output": output,
        "preprocessor": None,
        "libraries": [],
        **others,
    }


FORMATS: list[tuple[Callable[[Path], Made], dict[str, Any]]] = [
    (encoder_makers.save_callable_text, text("__call__", None, None)),
    (encoder_makers.save_callable_dict, text("__call__", None, "vector")),
    (encoder_makers.save_list_output, text("__call__", None, "1")),
    (encoder_makers.save_signature_default_text, text("default", "sentences", "output_0")),
    (encoder_makers.save_serving_default_text, text("serving_default", "sentences", "output_0")),
    (encoder_makers.save_rank2_text, text("serving_default", "sentences", "output_0", rank=2)),
    (encoder_makers.save_dict_output_text, text("serving_default", "sentences", "vector")),
    (encoder_makers.save_tf1_text_module, text("default", "default", "default", tags=[])),
    (encoder_makers.save_keras_export, text("serving_default", "texts", "output_0", rank=2)),
    (
        encoder_makers.save_text_ops_model,
        text("serving_default", "inputs", "outputs", libraries=["tensorflow_text"]),
    ),
    (
        encoder_makers.save_use_lite_module,
        {
            "tags": [],
            "signature": "default",
            "values": "values",
            "indices": "indices",
            "dense_shape": "dense_shape",
            "sentencepiece": "assets/universal_encoder_8k_spm.model",
            "max_tokens": None,
            "output": "default",
            "libraries": [],
        },
    ),
]


def name_of(parameter: object) -> str:
    return getattr(parameter, "__name__", "")


@pytest.mark.parametrize(("save_format", "encoder"), FORMATS, ids=name_of)
def test_what_a_model_takes_and_gives_is_found(
    tmp_path: Path, save_format: Callable[[Path], Made], encoder: dict[str, Any]
) -> None:
    made = save_format(tmp_path / "m")
    found = find(made.path, Options())
    assert found.kind == made.kind
    assert found.encoder == encoder
    assert found.model_dimensions == made.dimensions
    assert found.max_tokens is None
    assert found.encoder["libraries"] == list(made.libraries)


# --- strings


def test_the_serving_signature_is_found(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"serving_default": vectors, "other": vectors}, TEXTS)
    found = find(folder, Options())
    assert found.encoder == text("serving_default", "texts", "vector")
    assert survey(folder, Options())["why"] == (
        "the signature 'serving_default' takes strings, texts (string [?]), and of what it gives "
        "vector (float32 [?, 2]) is the one that can hold the vectors."
    )


def test_another_signature_may_be_asked_for(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"serving_default": vectors, "other": vectors}, TEXTS)
    assert find(folder, Options(signature="other")).encoder["signature"] == "other"
    assert refusal(folder, Options(signature="query")) == (
        "--signature query: the SavedModel has no such signature (it has: other, serving_default)."
    )


def test_the_only_signature_is_found_whatever_its_name(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"embed": vectors}, ([None, 1], "string", "column"))
    assert find(folder, Options()).encoder == text("embed", "column", "vector", rank=2)


def test_scores_and_token_vectors_beside_the_vectors_are_no_candidates(tmp_path: Path) -> None:
    import tensorflow as tf

    def outputs(texts: Tensor) -> dict[str, Tensor]:
        two = lengths(texts)
        return {
            "vector": two,
            "tokens": two[:, None],
            "score": two[:, 0],
            "id": tf.cast(two, "int32"),
        }

    folder = save(tmp_path / "m", {"serving_default": outputs}, TEXTS)
    assert find(folder, Options()).encoder["output"] == "vector"


def test_two_outputs_of_vectors_are_listed(tmp_path: Path) -> None:
    def outputs(texts: Tensor) -> dict[str, Tensor]:
        return {"a": lengths(texts), "b": lengths(texts, 3)}

    folder = save(tmp_path / "m", {"serving_default": outputs}, TEXTS)
    gives = "the signature 'serving_default' gives a (float32 [?, 2]), b (float32 [?, 3])"
    assert refusal(folder) == (
        f"{gives}; more than one may hold the vectors. Say which one with --output (a, b)."
    )
    assert find(folder, Options(output="b")).model_dimensions == 3
    assert refusal(folder, Options(output="c")) == (
        f"--output c: {gives}; the output of vectors must be one of those of floats, "
        "[n, dimensions]."
    )


def test_a_model_that_gives_no_vectors_is_refused(tmp_path: Path) -> None:
    folder = save(
        tmp_path / "m", {"serving_default": lambda texts: {"score": lengths(texts)[:, 0]}}, TEXTS
    )
    assert refusal(folder) == (
        "the signature 'serving_default' gives score (float32 [?]); it must give a tensor of "
        "floats [n, dimensions]."
    )


def test_an_output_that_turns_out_to_be_no_vector_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def of_unknown_shape(texts: Tensor) -> Tensor:
        shape = tf.where(tf.size(texts) > 100, [1, 1, 2], [1, 2, 1])
        return tf.reshape(tf.zeros([2]), shape[: 2 + tf.size(texts[:1])])

    folder = save_text(tmp_path / "m", of_unknown_shape)
    assert "vector (float32, of unknown shape)" in survey(folder, Options())["why"]
    assert refusal(folder) == (
        "the output 'vector' has the shape [1, 2, 1] for one text; it must be [1, dimensions]."
    )


def test_inputs_that_are_no_strings_are_listed(tmp_path: Path) -> None:
    def outputs(ids: Tensor, texts: Tensor) -> dict[str, Tensor]:
        return {"vector": lengths(texts) + ids}

    folder = save(
        tmp_path / "m", {"serving_default": outputs}, ([None, 1], "float32", "ids"), TEXTS
    )
    assert refusal(folder) == (
        "the signature 'serving_default' takes ids (float32 [?, 1]), texts (string [?]); it must "
        "take one tensor of strings, [n] or [n, 1]; or ids of SentencePiece as values, indices, "
        "dense_shape; or token ids [n, tokens], and perhaps a mask and type ids, as whole numbers."
    )


def test_a_kind_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", lengths)
    assert refusal(folder, Options(kind="sentencepiece")) == (
        "the signature 'serving_default' takes texts (string [?]); it must take ids of "
        "SentencePiece as values, indices, dense_shape."
    )
    assert refusal(folder, Options(kind="image")) == (
        "--kind image: there is no such kind; the kinds are pairs, sentencepiece, static, text, "
        "tokens."
    )


def test_options_for_tokens_are_refused_of_a_model_of_strings(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", lengths)
    assert refusal(folder, Options(max_tokens=16)) == (
        "--max-tokens is for models that take token ids, and this one is of kind text: what "
        "happens to its tokens is in its graph. Leave --max-tokens out."
    )


def test_a_pooling_that_only_the_converter_knows_is_refused(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m")
    assert refusal(folder, Options(output="states", pooling="lasttoken", max_tokens=16)) == (
        "--pooling lasttoken: the tokens' vectors of a SavedModel can be pooled by mean, cls, max. "
        "Choose one of these, or give the encoder's folder as Sentence Transformers saves it, "
        "which can be pooled by mean, cls, max, mean_sqrt_len, weightedmean, lasttoken."
    )


def test_signatures_without_a_default_are_listed(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"query": vectors, "passage": vectors}, TEXTS)
    assert refusal(folder) == (
        "the SavedModel has several signatures, and none is called 'serving_default' or 'default': "
        "passage: texts (string [?]); query: texts (string [?]). Say which one embeds with "
        "--signature."
    )


def test_a_default_signature_that_does_not_fit_names_those_that_do(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"query": vectors, "passage": vectors}, TEXTS)
    with edited(folder) as model:
        signatures = model.meta_graphs[0].signature_def
        signatures["serving_default"].CopyFrom(signatures["query"])
        signatures["serving_default"].inputs["texts"].dtype = 1  # float32
    assert refusal(folder).endswith(
        " Others do (passage: texts (string [?]); query: texts (string [?])): say which one embeds "
        "with --signature."
    )
    assert "Say which one embeds with --signature." in refusal(folder, Options(kind="text"))


def test_a_model_that_cannot_be_called_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    assert refusal(tmp_path / "m") == (
        "the SavedModel has neither signatures nor a function '__call__'. Save it with a signature "
        "that embeds, for example with Keras 3's model.export."
    )


def test_the_object_itself_may_be_asked_for(tmp_path: Path) -> None:
    encoder_makers.save_text_ops_model(tmp_path / "m")
    found = find(tmp_path / "m", Options(signature="__call__"))
    assert found.encoder == text("__call__", None, "outputs", libraries=["tensorflow_text"])


# --- SentencePiece


def test_the_sentencepiece_model_must_be_the_only_one(tmp_path: Path) -> None:
    encoder_makers.save_use_lite_module(tmp_path / "m")
    own = tmp_path / "m/assets/universal_encoder_8k_spm.model"
    shutil.copyfile(own, own.with_name("another.model"))
    must = (
        "the model takes the ids of SentencePiece, so 'assets' must hold exactly one SentencePiece "
        "model; "
    )
    assert refusal(tmp_path / "m") == (
        f"{must}it has several (assets/another.model, assets/universal_encoder_8k_spm.model)."
    )
    own.with_name("another.model").unlink()
    own.write_bytes(b"no model")
    assert refusal(tmp_path / "m") == (
        f"{must}none is there (it has: assets/universal_encoder_8k_spm.model)."
    )


def test_a_limit_of_pieces_is_kept(tmp_path: Path) -> None:
    encoder_makers.save_use_lite_module(tmp_path / "m")
    found = find(tmp_path / "m", Options(max_tokens=7))
    assert (found.max_tokens, found.encoder["max_tokens"]) == (7, 7)


# --- token ids


def states(input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
    import tensorflow as tf

    of_tokens = tf.cast(tf.stack([input_ids, attention_mask, input_ids], 2), tf.float32)
    return {"states": of_tokens, "pooled": of_tokens[:, 0]}


def save_of_tokens(
    folder: Path, function: Callable[..., dict[str, Tensor]] = states, tokens: int | None = None
) -> Path:
    """Save a model of token ids with its tokenizer."""
    inputs = [([None, tokens], dtype, name) for _, dtype, name in (IDS, MASK)]
    save(folder, {"serving_default": function}, *inputs)
    makers.save_tokenizer(folder / "tokenizer.json")
    return folder


def write(path: Path, **fields: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


def test_a_model_of_transformers_is_found_with_what_lies_beside_it(tmp_path: Path) -> None:
    made = encoder_makers.save_transformers_saved_model(tmp_path / "m")
    found = find(made.path / "saved_model/1", Options(output="last_hidden_state", pooling="mean"))
    assert found.encoder == {
        "tags": ["serve"],
        "signature": "serving_default",
        "input_ids": "input_ids",
        "attention_mask": "attention_mask",
        "token_type_ids": "token_type_ids",
        "output": "last_hidden_state",
        "tokenizer": "tokenizer.json",
        "max_tokens": made.max_tokens,
        "pooling": "mean",
        "libraries": [],
    }
    assert (found.kind, found.model_dimensions) == ("tokens", made.dimensions)
    choice = choice_of(
        made.path / "saved_model/1", Options(output="last_hidden_state", pooling="mean")
    )
    assert choice.extra_files == {"tokenizer.json": made.path / "tokenizer.json"}
    assert found.normalize is False


def test_vectors_of_tokens_beside_those_of_texts_are_asked_for(tmp_path: Path) -> None:
    """BERT's pooler_output is seldom what its users mean; no one would notice the difference."""
    folder = save_of_tokens(tmp_path / "m")
    assert refusal(folder, Options(max_tokens=16)) == (
        "the signature 'serving_default' gives pooled (float32 [?, 3]), states (float32 [?, ?, "
        "3]), and nothing says how the tokens' vectors become one. Say --output states with "
        "--pooling mean, cls or max, or --output pooled for one vector a text."
    )
    found, own_length = measured(folder, Options(max_tokens=16, output="pooled"))
    assert (found.encoder["pooling"], found.model_dimensions) == (None, 3)
    assert own_length is not None
    assert own_length == pytest.approx(np.linalg.norm([2, 1, 2])), "of [CLS] and its mask"
    assert find(folder, Options(max_tokens=16, pooling="max")).encoder["output"] == "states"
    assert refusal(folder, Options(max_tokens=16, output="pooled", pooling="max")) == (
        "--pooling max: the output pooled (float32 [?, 3]) holds one vector a text, so there is "
        "nothing to pool. Leave --pooling out."
    )


@pytest.mark.parametrize(
    ("fields", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "max"}, "max"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode": "mean_tokens"}, "mean"),
    ],
)
def test_the_pooling_of_sentence_transformers_is_found(
    tmp_path: Path, fields: dict[str, object], pooling: str
) -> None:
    folder = save_of_tokens(tmp_path / "m")
    write(folder / "1_Pooling/config.json", **fields)
    (folder / "2_Normalize").mkdir()
    findings = examine(folder, Options(max_tokens=16))
    assert (findings.encoder["output"], findings.encoder["pooling"]) == ("states", pooling)
    assert findings.normalize is True


def test_a_pooling_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m")
    write(folder / "1_Pooling/config.json", pooling_mode_lasttoken=True)
    assert refusal(folder) == (
        "'1_Pooling/config.json' asks for the pooling lasttoken; it may be mean, cls, max. Say "
        "which one with --pooling."
    )
    said = examine(folder, Options(max_tokens=16, pooling="cls"))
    assert (said.encoder["pooling"], said.encoder["output"]) == ("cls", "states")


@pytest.mark.parametrize(
    "options",
    [Options(max_tokens=16, pooling=pooling) for pooling in (None, "mean")]
    + [Options(max_tokens=16, output="states")],
)
def test_a_pooling_before_a_layer_that_the_model_does_not_have_is_refused(
    tmp_path: Path, options: Options
) -> None:
    """It was asked for, and --pooling mean then left the layer out."""
    folder = save_of_tokens(tmp_path / "m")
    write(folder / "1_Pooling/config.json", pooling_mode_mean_tokens=True)
    modules = [
        {"type": f"sentence_transformers.models.{kind}", "path": ""}
        for kind in ("Transformer", "Pooling", "Dense")
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert refusal(folder, options) == (
        "'modules.json' asks for Dense beside the pooling, and this output holds a vector for each "
        "token, before all of that. Save the whole pipeline as one SavedModel, with one vector a "
        "text; if it has such an output too, name it with --output."
    )
    found = find(folder, Options(max_tokens=16, output="pooled"))
    assert (found.encoder["output"], found.encoder["pooling"]) == ("pooled", None)


def test_a_default_prompt_is_the_prefix_unless_another_is_said(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m")
    write(folder / "1_Pooling/config.json", pooling_mode_mean_tokens=True)
    prompts = {"query": "query: ", "passage": "passage: "}
    write(folder / PROMPTS, prompts=prompts, default_prompt_name="passage")
    report = survey(folder, Options(max_tokens=16))
    assert examine(folder, Options(max_tokens=16)).prefix == "passage: "
    assert (report["encoder"], report["prompts"]) == ({"prefix": "'passage: '"}, {})
    assert examine(folder, Options(max_tokens=16, prefix="query: ")).prefix == "query: "
    assert examine(folder, Options(max_tokens=16, prefix="")).prefix == ""
    built = build(Local(folder), "five", tmp_path / "cache", Report(), Options(max_tokens=16))
    assert tf_embeddings_udf.read_manifest(built.path).prefix == "passage: "

    write(folder / PROMPTS, prompts=prompts)
    assert examine(folder, Options(max_tokens=16)).prefix == ""
    assert survey(folder, Options(max_tokens=16))["prompts"] == prompts


def test_a_length_that_only_a_file_beside_the_model_says_is_asked_for(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m")
    write(folder / PROMPTS, truncate_dim=2)
    said = Options(output="pooled", max_tokens=16)
    assert refusal(folder, said) == (
        "'config_sentence_transformers.json' says truncate_dim 2, which may be done in the "
        "SavedModel or not. Say --truncate-dim with the numbers to keep, or take it out."
    )
    assert examine(folder, replace(said, truncate_dim=2)).kind == "tokens"


def test_a_mean_that_leaves_the_prompt_out_is_refused(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m")
    write(folder / "1_Pooling/config.json", pooling_mode="mean", include_prompt=False)
    assert examine(folder, Options(max_tokens=16)).encoder["pooling"] == "mean"
    assert refusal(folder, Options(max_tokens=16, prefix="query: ")) == (
        "'1_Pooling/config.json' says include_prompt false: the tokens of the prompt 'query: ' "
        "have no part in the pooling mean, and here they would have. Choose no prompt, with "
        '--prefix "", or use the encoder with Sentence Transformers.'
    )


def test_a_tokenizer_that_does_not_lower_case_where_the_encoder_does_is_refused(
    tmp_path: Path,
) -> None:
    folder = save_of_tokens(tmp_path / "m")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    write(folder / "tokenizer.json", **{**tokenizer, "normalizer": {"type": "NFC"}})
    write(folder / "sentence_bert_config.json", do_lower_case=True, max_seq_length=16)
    assert refusal(folder) == (
        "'sentence_bert_config.json' says do_lower_case true, and the normalizer in "
        "'tokenizer.json' does not lower-case. Make them agree."
    )


def test_what_lies_above_a_model_that_was_fetched_is_no_part_of_it(tmp_path: Path) -> None:
    """In TF-Hub's usual cache that is a folder to which every user of a machine can write."""
    folder = save_of_tokens(tmp_path / "m")
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    options = Options(output="pooled", max_tokens=16)
    assert choice_of(folder, options).extra_files == {"tokenizer.json": tmp_path / "tokenizer.json"}
    with pytest.raises(StagingError, match=r"there is no 'tokenizer\.json'"):
        choice_of(folder, options, root=folder)
    assert choice_of(folder, options, root=tmp_path).model.kind == "tokens"

    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    limits, cache = Limits(), tmp_path / "cache"
    archive = Local(tmp_path / "packed.zip")
    fetched = materialize(archive, cache, Report(), limits)
    shutil.copyfile(tmp_path / "tokenizer.json", fetched.path.parent / "tokenizer.json")
    looked = look(archive, cache, Report(), options, limits, None)
    assert looked.keys() == {"report"}
    assert "there is no 'tokenizer.json'" in looked["report"]["problem"]


@pytest.mark.parametrize(
    ("limit", "config", "tokens", "found"),
    [
        (12, None, None, 12),
        (10**30, {"max_position_embeddings": 32}, None, 32),
        (None, {"max_position_embeddings": 32}, None, 32),
        (64, {"max_position_embeddings": 32}, None, 32),
        (None, {"max_position_embeddings": 34, "model_type": "roberta"}, None, 32),
        (None, None, 24, 24),
        (64, None, 24, 24),
    ],
)
def test_the_limit_of_tokens_is_found(
    tmp_path: Path,
    limit: int | None,
    config: dict[str, object] | None,
    tokens: int | None,
    found: int,
) -> None:
    folder = save_of_tokens(tmp_path / "m", tokens=tokens)
    if limit is not None:
        write(folder / "tokenizer_config.json", model_max_length=limit)
    if config is not None:
        write(folder / "config.json", tokenizer_class="PreTrainedTokenizerFast", **config)
    inspected = find(folder, Options(output="pooled"))
    assert (inspected.max_tokens, inspected.encoder["max_tokens"]) == (found, found)


def test_a_limit_that_nothing_says_is_asked_for(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m")
    assert refusal(folder, Options(output="pooled")) == (
        "nothing says after how many tokens the model truncates: neither tokenizer_config.json nor "
        "config.json beside it, nor its signature. Say so with --max-tokens."
    )


def test_a_limit_beyond_the_models_is_refused(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m", tokens=24)
    assert refusal(folder, Options(output="pooled", max_tokens=25)) == (
        "--max-tokens 25: this model takes from 3 to 24 tokens."
    )
    assert examine(folder, Options(output="pooled", max_tokens=24)).max_tokens == 24


def test_token_ids_without_a_tokenizer_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m/model", {"serving_default": states}, IDS, MASK)
    assert refusal(folder) == (
        "the signature 'serving_default' takes token ids (attention_mask (int32 [?, ?]), input_ids "
        "(int32 [?, ?])), and there is no 'tokenizer.json' in the SavedModel's folder, in its "
        "'assets' or beside the folder. Put it there, or name the SavedModel that makes token ids "
        "of texts with --preprocessor SOURCE."
    )


# --- the tokenizer that transformers would use

RECORDED = json.loads(record_tokenizers.FIXTURE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
def test_a_text_has_the_ids_that_transformers_gives(tmp_path: Path, case: dict[str, Any]) -> None:
    from tokenizers import Tokenizer

    record_tokenizers.lay_out(tmp_path, case, RECORDED["files"][case["of"]])
    file = tmp_path / "tokenizer.json"
    if refused := case.get("refused"):
        with pytest.raises(StagingError) as error:
            rewritten(file, tmp_path)
        assert refused in str(error.value)
        assert str(error.value).endswith((", and stage that.", "to 'PreTrainedTokenizerFast'."))
        return
    content = rewritten(file, tmp_path)
    assert (content is None) == case.get("unchanged", False)
    file.write_bytes(content or file.read_bytes())
    assert rewritten(file, tmp_path) is None, "a copy has the recipe of what it is a copy of"

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    side = (tokenizer.truncation or {}).get("direction", "right")
    tokenizer.enable_truncation(RECORDED["most_tokens"], direction=side)
    assert [tokenizer.encode(text).ids for text in RECORDED["texts"]] == case["ids"]


@pytest.mark.exhaustive
def test_beside_a_savedmodel_it_is_the_same(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m")
    write(folder / "tokenizer_config.json", truncation_side="left", model_max_length=8)
    options = Options(pooling="max")
    built = build(Local(folder), "left", tmp_path / "cache", Report(), options)
    unpacked = tf_embeddings_udf.unpack(
        built.path, tmp_path / "unpacked", model="left", build=built.build
    )
    texts = ["the quick brown fox", f"{'lazy ' * 20}the quick brown fox"]
    outcomes = tf_embeddings_udf.load(unpacked).embed(["lazy", *texts])
    lazy, whole, cut = outcomes.embeddings
    assert outcomes.is_truncated.tolist() == [False, False, True]
    assert not np.array_equal(lazy, whole)
    right = build(
        Local(save_of_tokens(tmp_path / "n")),
        "right",
        tmp_path / "cache",
        Report(),
        Options(pooling="max", max_tokens=8),
    )
    assert right.version != built.version
    tokenizer = json.loads((unpacked / "model/tokenizer.json").read_text())
    assert tokenizer["truncation"]["direction"] == "Left"
    assert np.abs(cut - whole).max() < np.abs(cut - lazy).max()


def test_padding_before_a_text_is_refused_where_rows_have_one_length(tmp_path: Path) -> None:
    folder = save_of_tokens(tmp_path / "m", tokens=16)
    write(folder / "tokenizer_config.json", padding_side="left")
    assert refusal(folder, Options(output="pooled")) == (
        "'tokenizer_config.json' says padding_side left, and the signature 'serving_default' takes "
        "rows of 16 tokens, which the runtime pads on the right. Save the model with rows of any "
        "length, [None, None]."
    )
    folder = save_of_tokens(tmp_path / "n")
    write(folder / "tokenizer_config.json", padding_side="left")
    assert examine(folder, Options(output="pooled", max_tokens=16)).kind == "tokens"


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_beside_a_model_is_refused(tmp_path: Path, name: str) -> None:
    folder = save_of_tokens(tmp_path / "m")
    write(folder / name)
    looked = look(
        Local(folder), tmp_path / "cache", Report(), Options(output="pooled"), Limits(), None
    )
    assert looked["report"]["problem"] == (
        f"'{name}' is there: PEFT adds an adapter to the model's own weights, which is not done "
        "here. Merge it first, with merge_and_unload() and save_pretrained(), and stage the folder "
        "that this writes."
    )


@pytest.mark.parametrize(
    "name", ["saved_model.pb", encoder_makers.USE_LITE_TOKENIZER, "variables/variables.index"]
)
def test_a_pointer_of_git_lfs_in_a_savedmodel_is_called_that(tmp_path: Path, name: str) -> None:
    encoder_makers.save_use_lite_module(tmp_path / "m")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:46\nsize 908\n"
    (tmp_path / "m" / name).write_text(pointer)
    with pytest.raises(StagingError, match=r"' is a pointer of Git LFS, not the file itself\. "):
        look(Local(tmp_path / "m"), tmp_path / "cache", Report(), Options(), Limits(), None)


# --- a preprocessor, and the encoder behind it


def test_an_encoder_is_found_behind_its_preprocessor(tmp_path: Path) -> None:
    made = encoder_makers.save_preprocessor_pair(tmp_path / "m")
    preprocessor = tmp_path / "m/preprocessor"
    found = find(made.path, Options(output="pooled_output"), preprocessor)
    before = {"tags": ["serve"], "signature": "serving_default", "input": "sentences", "rank": 1}
    assert found.encoder == text(
        "serving_default",
        None,
        "pooled_output",
        preprocessor={**before, "output": None},
        libraries=["tensorflow_text"],
    )
    assert (found.kind, found.model_dimensions) == ("text", made.dimensions)
    report, _ = inspection.examine(made.path, Options(output="pooled_output"), preprocessor)
    assert report["preprocessor"]["ops"]


def test_an_encoder_without_its_preprocessor_asks_for_it(tmp_path: Path) -> None:
    made = encoder_makers.save_preprocessor_pair(tmp_path / "m")
    assert refusal(made.path).endswith(
        ", as encoders do that come with a preprocessor. Name its SavedModel with --preprocessor "
        "SOURCE."
    )


def test_of_two_signatures_behind_a_preprocessor_none_is_guessed(tmp_path: Path) -> None:
    preprocessor = save(
        tmp_path / "p",
        {"serving_default": lambda texts: {"lengths": lengths(texts)}},
        TEXTS,
    )
    both: dict[str, Callable[..., dict[str, Tensor]]] = {
        "passage": lambda lengths: {"vector": lengths + 1},
        "query": lambda lengths: {"vector": lengths},
    }
    taken = ([None, 2], "float32", "lengths")
    folder = save(tmp_path / "m", both, taken)
    assert refusal(folder, Options(), preprocessor) == (
        "several signatures fit, and none is called 'serving_default' or 'default': passage: "
        "lengths (float32 [?, 2]); query: lengths (float32 [?, 2]). Say which one of the encoder "
        "embeds with --signature."
    )
    assert find(folder, Options(signature="query"), preprocessor).encoder["signature"] == "query"
    preferred = save(tmp_path / "n", {**both, "default": both["query"]}, taken)
    assert find(preferred, Options(), preprocessor).encoder["signature"] == "default"


def test_a_preprocessor_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    made = encoder_makers.save_preprocessor_pair(tmp_path / "m")
    other = save_text(tmp_path / "other", lengths)
    assert "the preprocessor does not give what the encoder takes" in refusal(
        made.path, Options(), other
    )
    assert refusal(other, Options(), made.path).startswith(
        "the preprocessor has nothing that takes one tensor of strings, [n] or [n, 1] (it has: "
    )


def test_a_preprocessor_that_reaches_out_is_refused(tmp_path: Path) -> None:
    made = encoder_makers.save_preprocessor_pair(tmp_path / "m")
    preprocessor = tmp_path / "m/preprocessor"
    with edited(preprocessor) as model:
        model.meta_graphs[0].graph_def.node.add(name="read", op="ReadFile")
    assert "ReadFile (at 'read')" in refusal(made.path, Options(), preprocessor)


# --- the file itself


def test_a_graph_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    graph = save_text(tmp_path / "m", lengths) / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-7])
    assert refusal(tmp_path / "m") == "'saved_model.pb' is not a SavedModel, or cut short."


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    assert refusal(tmp_path) == (
        "'saved_model.pb' is not a SavedModel, or cut short: it holds no graph."
    )


def test_a_file_that_is_larger_than_tensorflow_reads_is_refused_before_it_is_read(
    tmp_path: Path,
) -> None:
    with (tmp_path / "saved_model.pb").open("wb") as file:
        file.truncate(3 * 2**30)
    assert refusal(tmp_path) == (
        "'saved_model.pb' has 3.0 GiB; TensorFlow reads at most 2 GiB. Save the model with its "
        "weights as variables, not as constants of the graph."
    )


def test_of_several_graphs_the_one_to_serve_is_taken(tmp_path: Path) -> None:
    made = encoder_makers.save_tf1_text_module(tmp_path / "m")
    with edited(made.path) as model:
        training = model.meta_graphs.add()
        training.CopyFrom(model.meta_graphs[0])
        training.meta_info_def.tags.append("train")
    found = find(made.path, Options())
    assert found.encoder["tags"] == []
    assert survey(made.path, Options())["tags"] == [[], ["train"]]

    with edited(made.path) as model:
        model.meta_graphs[0].meta_info_def.tags.append("gpu")
    assert refusal(made.path) == (
        "the SavedModel holds 2 graphs (tags: gpu, train), and neither one with only the tag "
        "'serve' nor one without tags. Save it with one graph, tagged 'serve'."
    )


def test_tags_that_occur_twice_are_refused_for_tensorflow_would_load_another_graph(
    tmp_path: Path,
) -> None:
    def read_a_file(texts: Tensor) -> Tensor:
        import tensorflow as tf

        return lengths(tf.fill(tf.shape(texts), tf.io.read_file("/etc/hostname")))

    folder = save_text(tmp_path / "m", lengths)
    evil = save_text(tmp_path / "evil", read_a_file)
    with edited(folder) as model, edited(evil) as other:
        clean = model.meta_graphs[0]
        graphs = [other.meta_graphs[0], clean]
        graphs[0].meta_info_def.tags[:] = ["serve", "serve"]
        merged = [type(clean).FromString(graph.SerializeToString()) for graph in graphs]
        del model.meta_graphs[:]
        model.meta_graphs.extend(merged)
    assert refusal(folder) == (
        "the SavedModel holds 2 graphs (tags: serve + serve, serve): a tag or a set of tags occurs "
        "twice, so it does not say which graph is meant. Save it with one graph, tagged 'serve'."
    )
    with edited(folder) as model:
        del model.meta_graphs[0].meta_info_def.tags[1:]
    assert "(tags: serve, serve): a tag or a set of tags occurs twice" in refusal(folder)
    with edited(folder) as model:
        model.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    assert "or reach the network: ReadFile" in refusal(folder)


def test_a_function_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", lengths)
    with edited(folder) as model:
        library = model.meta_graphs[0].graph_def.library
        name = library.function[0].signature.name
        library.function.append(library.function[0])
    assert refusal(folder) == (
        f"the SavedModel holds the function '{name}' twice, which TensorFlow never writes. Save it "
        "again with TensorFlow."
    )


# --- the report


def test_the_report_shows_what_there_is(tmp_path: Path) -> None:
    def outputs(texts: Tensor) -> dict[str, Tensor]:
        return {"a": lengths(texts), "b": lengths(texts, 3)}

    folder = save(tmp_path / "m", {"serving_default": outputs}, TEXTS)
    report = survey(folder, Options())
    json.dumps(report)
    assert report["tags"] == [["serve"]]
    assert report["signatures"] == [
        {
            "name": "serving_default",
            "inputs": [{"name": "texts", "dtype": "string", "shape": [None]}],
            "outputs": [
                {"name": "a", "dtype": "float32", "shape": [None, 2]},
                {"name": "b", "dtype": "float32", "shape": [None, 3]},
            ],
        }
    ]
    assert report["output_candidates"] == {
        "serving_default": ["a (float32 [?, 2])", "b (float32 [?, 3])"]
    }
    assert report["ops"]["StringLength"] == 2
    assert report["files"]["saved_model.pb"] == (folder / "saved_model.pb").stat().st_size
    assert report["kind"] is None
    assert report["problem"].endswith("Say which one with --output (a, b).")

    report = survey(folder, Options(output="a"))
    assert (report["kind"], report["signature"], report["output"]) == (
        *("text", "serving_default"),
        "a",
    )
    assert report["problem"] is None
    assert report["why"] == choice_of(folder, Options(output="a")).why


def test_the_report_of_a_dangerous_graph_is_shown_too(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", lengths)
    with edited(folder) as model:
        model.meta_graphs[0].graph_def.node.add(name="read", op="ReadFile")
    report = survey(folder, Options())
    assert report["refused_ops"] == [{"op": "ReadFile", "where": "at 'read'", "why": ""}]
    assert "ReadFile" in report["problem"]


@pytest.mark.parametrize("survey", [False, True])
def test_the_task_answers_in_json(tmp_path: Path, survey: bool) -> None:
    folder = save_text(tmp_path / "m", lengths)
    options = {**vars(Options()), "allow_ops": []}
    request = {"folder": str(folder), "options": options, "preprocessor": None, "survey": survey}
    target = tmp_path / "laid_out"
    answer = json.loads(json.dumps(inspect_task({**request, "target": str(target)})))
    assert (answer["model"]["kind"], answer["model"]["model_dimensions"]) == ("text", 2)
    assert answer["report"]["problem"] is None
    assert (target / "model/saved_model.pb").is_file()


def test_the_task_says_what_is_wrong_or_shows_it(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"query": vectors, "passage": vectors}, TEXTS)
    options = {**vars(Options()), "allow_ops": []}
    request = {
        "folder": str(folder),
        "options": options,
        "preprocessor": None,
        "target": str(tmp_path / "laid_out"),
    }
    shown = inspect_task({**request, "survey": True})
    assert shown == {"report": survey(folder, Options())}
    with pytest.raises(StagingError) as error:
        inspect_task(request)
    assert str(error.value) == shown["report"]["problem"]


# --- and on to the artifact


def test_the_version_is_of_the_model_and_not_of_its_name_or_its_fingerprint(
    tmp_path: Path,
) -> None:
    folder = save_text(tmp_path / "m", lengths)
    first = build(Local(folder), "one", tmp_path / "cache", Report())
    (folder / "fingerprint.pb").write_bytes(b"another")
    (folder / ".DS_Store").write_bytes(b"")
    (folder / "variables/._variables.index").write_bytes(b"as a Mac leaves it")
    second = build(Local(folder), "two", tmp_path / "cache", Report())

    assert (first.version, first.dimensions, first.kind) == (second.version, 2, "text")
    assert first.build != second.build
    unpacked = tf_embeddings_udf.unpack(
        second.path, tmp_path / "unpacked", model="two", build=second.build
    )
    outcomes = tf_embeddings_udf.load(unpacked).embed(["abc", None])
    np.testing.assert_array_equal(outcomes.embeddings[0], [3, 4])
    assert outcomes.statuses.tolist() == ["ok", "null"]


def test_a_model_of_rows_of_one_length_gets_them(tmp_path: Path) -> None:
    def first_ids(input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        import tensorflow as tf

        return {"vector": tf.cast(tf.concat([input_ids, attention_mask], 1), tf.float32)}

    folder = save_of_tokens(tmp_path / "m", first_ids, tokens=6)
    built = build(Local(folder), "six", tmp_path / "cache", Report())
    unpacked = tf_embeddings_udf.unpack(
        built.path, tmp_path / "unpacked", model="six", build=built.build
    )
    outcomes = tf_embeddings_udf.load(unpacked).embed(["fox", "fox fox fox fox fox"])
    fox = outcomes.embeddings[0][1]
    cls, sep = 2, 3
    assert outcomes.embeddings.tolist() == [
        [cls, fox, sep, 0, 0, 0, 1, 1, 1, 0, 0, 0],
        [cls, fox, fox, fox, fox, sep, 1, 1, 1, 1, 1, 1],
    ]
    assert outcomes.is_truncated.tolist() == [False, True]


def test_a_model_that_gives_a_text_another_vector_each_time_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def noisy(texts: Tensor) -> Tensor:
        two = lengths(texts)
        return two + tf.random.uniform(tf.shape(two))

    folder = save_text(tmp_path / "m", noisy)
    with pytest.raises(
        StagingError,
        match=r"^the vector of a text depends on the other texts of its batch \(a component "
        r"differs by \S+ of the vector's length\)\. Save the model for inference, without "
        r"dropout and batch statistics\.$",
    ):
        build(Local(folder), "noisy", tmp_path / "cache", Report())
    assert not list((tmp_path / "cache").rglob("*.zip"))
    assert not list((tmp_path / "cache/work").iterdir())


def test_a_model_that_gives_zeros_is_refused(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", lambda texts: lengths(texts) * 0)
    with pytest.raises(StagingError) as error:
        build(Local(folder), "zeros", tmp_path / "cache", Report())
    assert str(error.value) == (
        "the model gives no vector for 'elephant' and 14 other texts: what comes out is all zeros. "
        "Were its weights saved, and is it the output of vectors? --inspect shows the outputs, and "
        "--output chooses another."
    )


def test_a_model_that_gives_what_is_not_finite_is_told_so(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "m", lambda texts: lengths(texts) * float("nan"))
    with pytest.raises(StagingError, match=r"14 other texts: what comes out is not finite \(NaN "):
        build(Local(folder), "nan", tmp_path / "cache", Report())


def test_what_is_let_in_is_told_and_what_is_not_there_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    secret = tmp_path / "secret"
    secret.write_text("abc")

    def reading(texts: Tensor) -> Tensor:
        length = tf.strings.length(tf.io.read_file(str(secret)))
        return lengths(texts) + tf.cast(length, tf.float32)

    folder = save_text(tmp_path / "m", reading)
    options = Options(allow_ops=("ReadFile", "Nonsense"))
    look(Local(folder), tmp_path / "cache", Report(), options, Limits(), None)
    said = capsys.readouterr().err
    assert "Warning: the graph has no op Nonsense, which --allow-op names." in said
    assert (
        "Warning: the graph reaches out of the model with ReadFile, which --allow-op lets in: a "
        in said
    )
    assert "is not in the artifact, and will be missing in the warehouse.\n" in said


def test_one_tensor_has_no_index(tmp_path: Path) -> None:
    folder = encoder_makers.save_callable_text(tmp_path / "m").path
    said = refusal(folder, Options(signature="__call__", output="0"))
    assert said.startswith("--output 0: ")
    assert said.endswith("which has neither key nor index. Leave --output out.")
