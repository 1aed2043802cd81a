"""The folders of sentence encoders: what the converter makes of them, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import bert_folder
import numpy as np
import pytest
from bert_folder import Folder, make_folder
from tf_embeddings_staging.conversion.bert import read_weights
from tf_embeddings_staging.conversion.encoder_folder import read_encoder_folder
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options

TOLERANCE = 2e-5  # float32 against float64; the vectors' components are about 1


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return make_folder(tmp_path / "encoder")


@pytest.mark.parametrize(
    ("pooling", "activation", "dtype", "prefix"),
    [
        ("cls", "gelu", "float32", ""),
        ("mean", "gelu_new", "bfloat16", "bert."),
        ("mean", "relu", "float16", ""),
    ],
)
def test_a_converted_encoder_gives_what_bert_is_on_paper(
    tmp_path: Path, pooling: str, activation: str, dtype: str, prefix: str
) -> None:
    import tensorflow as tf
    from tf_embeddings_staging.conversion import bert_graph

    made = make_folder(
        tmp_path / "encoder", pooling=pooling, activation=activation, dtype=dtype, prefix=prefix
    )
    encoder = read_encoder_folder(made.path)
    bert_graph.save(encoder.config, encoder.weights, encoder.pooling, tmp_path / "saved")

    ids = np.array([[2, 9, 5, 7, 3], [2, 4, 3, 0, 0]], np.int32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.int32)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    came = loaded.signatures["serving_default"](
        input_ids=tf.constant(ids), attention_mask=tf.constant(mask)
    )["embedding"].numpy()

    assert came.dtype == np.float32
    assert np.abs(came - bert_folder.embed_in_numpy(made, ids, mask)).max() < TOLERANCE


def test_pooling_scaling_and_limit_come_from_the_folder(tmp_path: Path) -> None:
    mean = read_encoder_folder(make_folder(tmp_path / "a", pooling="mean", normalize=True).path)
    assert (mean.pooling, mean.normalize, mean.max_tokens) == ("mean", True, 20)
    cls = read_encoder_folder(make_folder(tmp_path / "b", pooling="cls").path)
    assert (cls.pooling, cls.normalize, cls.max_tokens) == ("cls", False, 20)


def test_the_limit_is_never_more_than_there_are_positions(folder: Folder) -> None:
    folder.edit("sentence_bert_config.json", max_seq_length=512)
    assert read_encoder_folder(folder.path).max_tokens == bert_folder.POSITIONS
    (folder.path / "sentence_bert_config.json").unlink()
    assert read_encoder_folder(folder.path).max_tokens == bert_folder.POSITIONS
    folder.edit("tokenizer_config.json", model_max_length=24)
    assert read_encoder_folder(folder.path).max_tokens == 24
    folder.edit("tokenizer_config.json", model_max_length=10**30)
    assert read_encoder_folder(folder.path).max_tokens == bert_folder.POSITIONS


def test_todays_form_of_the_pooling_is_read(folder: Folder) -> None:
    bert_folder.write_json(folder.path / "1_Pooling/config.json", {"pooling_mode": "mean"})
    assert read_encoder_folder(folder.path).pooling == "mean"


def test_a_folder_without_modules_json_is_read_by_its_pooling(folder: Folder) -> None:
    (folder.path / "modules.json").unlink()
    encoder = read_encoder_folder(folder.path)
    assert (encoder.pooling, encoder.normalize) == ("cls", False)
    (folder.path / "2_Normalize").mkdir()
    assert read_encoder_folder(folder.path).normalize


def test_the_older_layout_with_a_folder_for_the_transformer_is_read(folder: Folder) -> None:
    inner = folder.path / "0_Transformer"
    inner.mkdir()
    names = ("config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json")
    for name in names:
        (folder.path / name).rename(inner / name)
    modules = json.loads((folder.path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    bert_folder.write_json(folder.path / "modules.json", modules)
    assert read_encoder_folder(folder.path).weights == inner / "model.safetensors"


def test_a_default_prompt_is_the_prefix_unless_another_is_said(folder: Folder) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    folder.edit("config_sentence_transformers.json", prompts=prompts, default_prompt_name="passage")
    encoder = read_encoder_folder(folder.path)
    assert (encoder.prefix, encoder.prompts) == ("passage: ", {})
    said = read_encoder_folder(folder.path, Options(prefix="query: "))
    assert (said.prefix, said.prompts) == ("query: ", {})
    assert read_encoder_folder(folder.path, Options(prefix="")).prefix == ""


def test_prompts_without_a_default_are_left_to_choose_from(folder: Folder) -> None:
    assert read_encoder_folder(folder.path).prompts == {}
    prompts = {"query": "query: ", "document": ""}
    folder.edit("config_sentence_transformers.json", prompts=prompts, default_prompt_name=None)
    encoder = read_encoder_folder(folder.path)
    assert (encoder.prefix, encoder.prompts) == ("", {"query": "query: "})
    assert read_encoder_folder(folder.path, Options(prefix="")).prompts == {}


def test_what_is_said_goes_before_what_the_folder_says(folder: Folder) -> None:
    said = Options(pooling="mean", normalize=True, max_tokens=bert_folder.POSITIONS)
    encoder = read_encoder_folder(folder.path, said)
    assert (encoder.pooling, encoder.normalize) == ("mean", True)
    assert encoder.max_tokens == bert_folder.POSITIONS
    assert encoder.architecture()["pooling"] == "mean"


def test_a_plain_bert_needs_its_pooling_said(folder: Folder) -> None:
    for name in ("modules.json", "1_Pooling/config.json"):
        (folder.path / name).unlink()
    encoder = read_encoder_folder(folder.path, Options(pooling="mean"))
    assert (encoder.pooling, encoder.normalize) == ("mean", False)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            Options(kind="text"),
            "--kind text: 'encoder' is the folder of a BERT sentence encoder, whose kind is "
            "tokens. Leave --kind out.",
        ),
        (
            Options(output="pooler_output"),
            "--output is for SavedModels, and 'encoder' is the folder of a BERT sentence encoder, "
            "whose graph is made here. Leave --output out.",
        ),
        (
            Options(pooling="max"),
            "--pooling max: for the folder of a BERT sentence encoder, the converter knows cls and "
            "mean.",
        ),
        (
            Options(max_tokens=33),
            "--max-tokens 33: this encoder takes from 3 to 32 tokens, for so many positions it "
            "has.",
        ),
        (
            Options(max_tokens=2),
            "--max-tokens 2: this encoder takes from 3 to 32 tokens, for so many positions it has.",
        ),
    ],
    ids=["kind", "output", "pooling", "above", "below"],
)
def test_options_that_do_not_fit_are_refused_in_one_sentence(
    folder: Folder, options: Options, sentence: str
) -> None:
    with pytest.raises(StagingError) as error:
        read_encoder_folder(folder.path, options)
    assert str(error.value) == sentence


REFUSED: list[tuple[Callable[[Folder], object], str]] = [
    (
        lambda folder: folder.edit("config.json", model_type="mpnet"),
        "'config.json' says model_type 'mpnet'; the converter knows 'bert'.",
    ),
    (
        lambda folder: folder.edit("config.json", hidden_act="silu"),
        "'config.json' says hidden_act 'silu'; the converter knows 'gelu', 'gelu_new', 'relu'.",
    ),
    (
        lambda folder: folder.edit("config.json", position_embedding_type="relative_key"),
        "'config.json' says position_embedding_type 'relative_key'; the converter knows "
        "'absolute'.",
    ),
    (
        lambda folder: folder.edit("config.json", is_decoder=True),
        "'config.json' says is_decoder true; the converter knows encoders only.",
    ),
    (
        lambda folder: folder.edit("config.json", hidden_size="24"),
        "'config.json' says hidden_size '24', not a whole number of at least 1.",
    ),
    (
        lambda folder: folder.edit("config.json", num_attention_heads=5),
        "'config.json' says hidden_size 24, which its num_attention_heads 5 does not divide.",
    ),
    (
        lambda folder: folder.edit("config.json", layer_norm_eps=0),
        "'config.json' says layer_norm_eps 0, not a number between 0 and 1.",
    ),
    (
        lambda folder: folder.edit(
            "1_Pooling/config.json", pooling_mode_cls_token=False, pooling_mode_max_tokens=True
        ),
        "'1_Pooling/config.json' asks for the pooling max; the converter knows cls and mean.",
    ),
    (
        lambda folder: folder.edit("1_Pooling/config.json", pooling_mode_mean_tokens=True),
        "'1_Pooling/config.json' asks for the pooling cls + mean; the converter knows cls and "
        "mean.",
    ),
    (
        lambda folder: bert_folder.write_json(
            folder.path / "modules.json",
            [{"type": f"st.{kind}", "path": ""} for kind in ("Transformer", "Pooling", "Dense")],
        ),
        "'modules.json' asks for Transformer + Pooling + Dense; the converter knows Transformer + "
        "Pooling and Transformer + Pooling + Normalize.",
    ),
    (
        lambda folder: bert_folder.write_json(
            folder.path / "modules.json",
            [
                {"type": "st.Transformer", "path": ""},
                {"type": "st.Pooling", "path": "../elsewhere"},
            ],
        ),
        "'modules.json' has the path '../elsewhere', which leaves the folder.",
    ),
    (
        lambda folder: (folder.path / "modules.json").write_text("{}"),
        "'modules.json' is not a list of modules with a type and a path.",
    ),
    (
        lambda folder: (folder.path / "config.json").write_text("[]"),
        "'config.json' is not a JSON object.",
    ),
    (
        lambda folder: (folder.path / "config.json").write_text("{"),
        "'config.json' is not JSON (Expecting property name enclosed in double quotes: line 1 "
        "column 2 (char 1)).",
    ),
    (
        lambda folder: (folder.path / "config.json").unlink(),
        "the folder 'encoder' has no 'config.json', so it is no whole sentence encoder.",
    ),
    (
        lambda folder: (folder.path / "tokenizer.json").unlink(),
        "the folder 'encoder' has no 'tokenizer.json'; the converter needs the fast tokenizer.",
    ),
    (
        lambda folder: (folder.path / "model.safetensors").unlink(),
        "the folder 'encoder' has no 'model.safetensors'; weights in another format must be saved "
        "as safetensors.",
    ),
    (
        lambda folder: (folder.path / "model.safetensors").rename(
            folder.path / "model.safetensors.index.json"
        ),
        "the weights are in several files ('model.safetensors.index.json'); the converter needs "
        "one 'model.safetensors'.",
    ),
    (
        lambda folder: [
            (folder.path / name).unlink() for name in ("modules.json", "1_Pooling/config.json")
        ],
        "the folder 'encoder' has neither modules.json nor 1_Pooling/config.json, so nothing says "
        "how the tokens' vectors become one. Save the encoder with Sentence Transformers, or "
        "say --pooling mean or --pooling cls.",
    ),
    (
        lambda folder: folder.edit("sentence_bert_config.json", max_seq_length="many"),
        "the encoder's limit of tokens is 'many'; it must be a whole number of at least 3.",
    ),
    (
        lambda folder: [
            folder.edit("tokenizer.json", normalizer={"type": "NFC"}),
            folder.edit("tokenizer_config.json", do_lower_case=True),
        ],
        "'tokenizer_config.json' says do_lower_case true, and the normalizer in 'tokenizer.json' "
        "does not lower-case. Make them agree.",
    ),
    (
        lambda folder: folder.edit("config_sentence_transformers.json", prompts=["query: "]),
        "'config_sentence_transformers.json' has prompts that are not a map of names to texts.",
    ),
    (
        lambda folder: folder.edit(
            "config_sentence_transformers.json", prompts={}, default_prompt_name="query"
        ),
        "'config_sentence_transformers.json' says default_prompt_name 'query', which is not in "
        "its prompts.",
    ),
    (
        lambda folder: [
            folder.edit(
                "1_Pooling/config.json",
                pooling_mode_cls_token=False,
                pooling_mode_mean_tokens=True,
                include_prompt=False,
            ),
            folder.edit(
                "config_sentence_transformers.json",
                prompts={"query": "query: "},
                default_prompt_name="query",
            ),
        ],
        "'1_Pooling/config.json' says include_prompt false: the tokens of the prompt 'query: ' "
        "have no part in the mean. The runtime knows encoders where they have.",
    ),
]


@pytest.mark.parametrize(("damage", "sentence"), REFUSED, ids=[text[:50] for _, text in REFUSED])
def test_what_cannot_be_converted_is_refused_in_one_sentence(
    folder: Folder, damage: Callable[[Folder], object], sentence: str
) -> None:
    damage(folder)
    with pytest.raises(StagingError) as error:
        read_encoder_folder(folder.path)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "num_hidden_layers",
            3,
            "'model.safetensors' lacks encoder.layer.2.attention.output.LayerNorm.bias and 15 "
            "more, so it is no BERT encoder of the size in config.json.",
        ),
        (
            "num_hidden_layers",
            1,
            "'model.safetensors' has encoder.layer.1.attention.output.LayerNorm.bias and 15 more, "
            "which a BERT encoder of the size in config.json does not have.",
        ),
        (
            "max_position_embeddings",
            64,
            "'model.safetensors' has embeddings.position_embeddings.weight of shape [32, 24], and "
            "config.json asks for [64, 24].",
        ),
    ],
)
def test_weights_of_another_size_are_refused(
    folder: Folder, name: str, value: int, sentence: str
) -> None:
    folder.edit("config.json", **{name: value})
    encoder = read_encoder_folder(folder.path)
    with pytest.raises(StagingError) as error:
        read_weights(encoder.config, encoder.weights)
    assert str(error.value) == sentence


def test_weights_that_are_cut_short_are_refused(folder: Folder) -> None:
    weights = folder.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    encoder = read_encoder_folder(folder.path)
    with pytest.raises(StagingError, match=r"^'model.safetensors' is no whole safetensors file \("):
        read_weights(encoder.config, encoder.weights)
