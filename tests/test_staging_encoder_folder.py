"""The folders of sentence encoders: what the converter makes of them, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bert_folder
import numpy as np
import pytest
import tf_embeddings_udf
from bert_folder import Folder, make_folder
from tf_embeddings_staging.building.artifact import Artifact
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.conversion.encoder_folder import read_encoder_folder
from tf_embeddings_staging.conversion.transformer import AS_SAVED_MODEL, read_weights
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import tokenizer_file
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local

POOLINGS = "mean, cls, max, mean_sqrt_len, weightedmean and lasttoken"
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
    from tf_embeddings_staging.conversion import transformer_graph

    made = make_folder(
        tmp_path / "encoder", pooling=pooling, activation=activation, dtype=dtype, prefix=prefix
    )
    encoder = read_encoder_folder(made.path)
    transformer_graph.save(
        encoder.config, encoder.weights, encoder.pooling, encoder.dense, tmp_path / "saved"
    )

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
    assert (mean.pooling, mean.model.normalize, mean.model.max_tokens) == ("mean", True, 20)
    cls = read_encoder_folder(make_folder(tmp_path / "b", pooling="cls").path)
    assert (cls.pooling, cls.model.normalize, cls.model.max_tokens) == ("cls", False, 20)


def test_the_limit_is_never_more_than_there_are_positions(folder: Folder) -> None:
    folder.edit("sentence_bert_config.json", max_seq_length=512)
    assert read_encoder_folder(folder.path).model.max_tokens == bert_folder.POSITIONS
    (folder.path / "sentence_bert_config.json").unlink()
    assert read_encoder_folder(folder.path).model.max_tokens == bert_folder.POSITIONS
    folder.edit("tokenizer_config.json", model_max_length=24)
    assert read_encoder_folder(folder.path).model.max_tokens == 24
    folder.edit("tokenizer_config.json", model_max_length=10**30)
    assert read_encoder_folder(folder.path).model.max_tokens == bert_folder.POSITIONS


def test_todays_form_of_the_pooling_is_read(folder: Folder) -> None:
    bert_folder.write_json(folder.path / "1_Pooling/config.json", {"pooling_mode": "mean"})
    assert read_encoder_folder(folder.path).pooling == "mean"


def test_a_folder_without_modules_json_is_read_by_its_pooling(folder: Folder) -> None:
    (folder.path / "modules.json").unlink()
    encoder = read_encoder_folder(folder.path)
    assert (encoder.pooling, encoder.model.normalize) == ("cls", False)
    (folder.path / "2_Normalize").mkdir()
    assert read_encoder_folder(folder.path).model.normalize


def test_the_older_layout_with_a_folder_for_the_transformer_is_read(folder: Folder) -> None:
    inner = folder.path / "0_Transformer"
    inner.mkdir()
    names = ("config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json")
    for name in names:
        (folder.path / name).rename(inner / name)
    modules = json.loads((folder.path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    bert_folder.write_json(folder.path / "modules.json", modules)
    assert read_encoder_folder(folder.path).weights == (inner / "model.safetensors",)


def test_a_default_prompt_is_the_prefix_unless_another_is_said(folder: Folder) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    folder.edit("config_sentence_transformers.json", prompts=prompts, default_prompt_name="passage")
    encoder = read_encoder_folder(folder.path)
    assert (encoder.model.prefix, encoder.prompts) == ("passage: ", {})
    said = read_encoder_folder(folder.path, Options(prefix="query: "))
    assert (said.model.prefix, said.prompts) == ("query: ", {})
    assert read_encoder_folder(folder.path, Options(prefix="")).model.prefix == ""


def test_prompts_without_a_default_are_left_to_choose_from(folder: Folder) -> None:
    assert read_encoder_folder(folder.path).prompts == {}
    prompts = {"query": "query: ", "document": ""}
    folder.edit("config_sentence_transformers.json", prompts=prompts, default_prompt_name=None)
    encoder = read_encoder_folder(folder.path)
    assert (encoder.model.prefix, encoder.prompts) == ("", {"query": "query: "})
    assert read_encoder_folder(folder.path, Options(prefix="")).prompts == {}


def test_what_is_said_goes_before_what_the_folder_says(folder: Folder) -> None:
    said = Options(pooling="mean", normalize=True, max_tokens=bert_folder.POSITIONS)
    encoder = read_encoder_folder(folder.path, said)
    assert (encoder.pooling, encoder.model.normalize) == ("mean", True)
    assert encoder.model.max_tokens == bert_folder.POSITIONS
    assert encoder.architecture()["pooling"] == "mean"


def test_a_plain_bert_needs_its_pooling_said(folder: Folder) -> None:
    for name in ("modules.json", "1_Pooling/config.json"):
        (folder.path / name).unlink()
    encoder = read_encoder_folder(folder.path, Options(pooling="mean"))
    assert (encoder.pooling, encoder.model.normalize) == ("mean", False)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            Options(kind="text"),
            "--kind text: 'encoder' is the folder of a sentence encoder, whose kind is tokens. "
            "Leave --kind out.",
        ),
        (
            Options(output="pooler_output"),
            "--output is for SavedModels, and 'encoder' is the folder of a sentence encoder, whose "
            "graph is made here. Leave --output out.",
        ),
        (
            Options(pooling="best"),
            "--pooling best: for the folder of a sentence encoder, the converter knows "
            f"{POOLINGS}.",
        ),
        (
            Options(max_tokens=33),
            "--max-tokens 33: this encoder takes from 3 to 32 tokens, as many as it has positions.",
        ),
        (
            Options(max_tokens=2),
            "--max-tokens 2: this encoder takes from 3 to 32 tokens, as many as it has positions.",
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


def shard(folder: Folder, name: str) -> None:
    """Say in an index that the weights are in a file of this name, and take them away."""
    (folder.path / "model.safetensors").unlink()
    index = {"weight_map": {"embeddings.word_embeddings.weight": name}}
    bert_folder.write_json(folder.path / "model.safetensors.index.json", index)


REFUSED: list[tuple[Callable[[Folder], object], str]] = [
    (
        lambda folder: folder.edit("config.json", model_type="deberta-v2"),
        "'config.json' says model_type 'deberta-v2'; the converter knows 'bert', 'camembert', "
        "'distilbert', 'modernbert', 'mpnet', 'nomic_bert', 'roberta', 'xlm-roberta'. "
        f"{AS_SAVED_MODEL}",
    ),
    (
        lambda folder: folder.edit("config.json", hidden_act="mish"),
        "'config.json' says hidden_act 'mish'; the converter knows 'gelu', 'gelu_new', "
        "'gelu_pytorch_tanh', 'relu', 'silu'.",
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
            "1_Pooling/config.json", pooling_mode_cls_token=False, pooling_mode_median=True
        ),
        "'1_Pooling/config.json' asks for the pooling median; the converter knows "
        f"{POOLINGS}. {AS_SAVED_MODEL}",
    ),
    (
        lambda folder: folder.edit("1_Pooling/config.json", pooling_mode_mean_tokens=True),
        "'1_Pooling/config.json' asks for the pooling cls + mean; the converter knows "
        f"{POOLINGS}. {AS_SAVED_MODEL}",
    ),
    (
        lambda folder: bert_folder.write_json(
            folder.path / "modules.json",
            [{"type": f"st.{kind}", "path": ""} for kind in ("Transformer", "Pooling", "CNN")],
        ),
        "'modules.json' asks for Transformer + Pooling + CNN; the converter knows Transformer + "
        "Pooling, then any number of Dense, and at most Normalize after that. "
        f"{AS_SAVED_MODEL}",
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
        "'modules.json' is not a list of modules with a type and a path. Download or save the "
        "folder again.",
    ),
    (
        lambda folder: (folder.path / "config.json").write_text("[]"),
        "'config.json' is not a JSON object. Download or save the folder again.",
    ),
    (
        lambda folder: (folder.path / "config.json").write_text("{"),
        "'config.json' is not JSON (Expecting property name enclosed in double quotes: line 1 "
        "column 2 (char 1)). Download or save the folder again.",
    ),
    (
        lambda folder: (folder.path / "config.json").unlink(),
        "the folder 'encoder' has no 'config.json', so it is not a complete sentence encoder.",
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
        lambda folder: shard(folder, "../model-00001-of-00001.safetensors"),
        "'model.safetensors.index.json' has no weight_map of tensors to files such as "
        "model-00001-of-00002.safetensors. Download or save the folder again.",
    ),
    (
        lambda folder: shard(folder, "model-00002-of-00002.safetensors"),
        "the folder 'encoder' has no 'model-00002-of-00002.safetensors'; "
        "'model.safetensors.index.json' names it.",
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
            "more, so it is not an encoder of the type 'bert' and the size in config.json.",
        ),
        (
            "num_hidden_layers",
            1,
            "'model.safetensors' has encoder.layer.1.attention.output.LayerNorm.bias and 15 more, "
            "which an encoder of the type 'bert' and the size in config.json does not have.",
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
    with pytest.raises(
        StagingError, match=r"^'model.safetensors' is not a complete safetensors file \("
    ):
        read_weights(encoder.config, encoder.weights)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665a5\nsize 90868376\n"


@pytest.mark.parametrize(
    "settings",
    [
        {"sentence_roberta_config.json": {"max_seq_length": 17}},
        {"sentence_bert_config.json": {}, "sentence_xlnet_config.json": {"max_seq_length": 17}},
        {
            "sentence_bert_config.json": {
                "max_seq_length": 30,
                "processing_kwargs": {"text": {"max_length": 17, "truncation": True}},
            }
        },
        {"sentence_bert_config.json": {"processor_kwargs": {"model_max_length": 17}}},
        {"tokenizer_config.json": {"max_len": 17}},
        {
            "sentence_bert_config.json": {
                **{"transformer_task": "feature-extraction", "max_seq_length": 17},
                "module_output_name": "token_embeddings",
                "model_args": {"add_pooling_layer": False, "trust_remote_code": True},
                "modality_config": {
                    "text": {"method": "forward", "method_output_name": "last_hidden_state"}
                },
            }
        },
    ],
    ids=["another-family", "the-first-that-says-anything", "call", "load", "of-old", "of-today"],
)
def test_a_limit_is_found_wherever_sentence_transformers_finds_it(
    folder: Folder, settings: dict[str, dict[str, object]]
) -> None:
    """As Transformer.load_config and preprocess of Sentence Transformers 6.2 do."""
    (folder.path / "sentence_bert_config.json").unlink()
    for name, content in settings.items():
        bert_folder.write_json(folder.path / name, content)
    assert read_encoder_folder(folder.path).model.max_tokens == 17


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "sentence_bert_config.json",
            {"query_length": 32},
            "'sentence_bert_config.json' says query_length 32: that could change the vectors, and "
            "is not known here.",
        ),
        (
            "sentence_distilbert_config.json",
            {"processing_kwargs": {"text": {"truncation": False}}},
            "'sentence_distilbert_config.json' says processing_kwargs.text.truncation False",
        ),
        (
            "sentence_bert_config.json",
            {"tokenizer_args": {"do_lower_case": False}},
            "'sentence_bert_config.json' says tokenizer_args.do_lower_case False",
        ),
        *(
            (
                "sentence_bert_config.json",
                content,
                f"'sentence_bert_config.json' says {said}; it must be a map of settings. Save the",
            )
            for content, said in (
                ({"tokenizer_args": [1]}, "tokenizer_args [1]"),
                ({"processing_kwargs": [1]}, "processing_kwargs [1]"),
                ({"processing_kwargs": {"text": 5}}, "processing_kwargs.text 5"),
                ({"modality_config": [1]}, "modality_config [1]"),
                ({"modality_config": {"text": "forward"}}, "modality_config.text 'forward'"),
                ({"model_args": "x"}, "model_args 'x'"),
            )
        ),
        (
            "config_sentence_transformers.json",
            {"model_type": "SparseEncoder"},
            "'config_sentence_transformers.json' says model_type 'SparseEncoder'; it must be",
        ),
        ("adapter_config.json", {"r": 8}, "'adapter_config.json' is there: PEFT adds an adapter"),
        ("adapter_model.safetensors", {}, "'adapter_model.safetensors' is there: PEFT adds an"),
        ("dense.safetensors", {}, "'dense.safetensors' lies beside 'model.safetensors': what it"),
        (
            "config.json",
            {"auto_map": {"AutoModel": "modeling.Bert"}},
            "'config.json' says auto_map, so the encoder is more than a bert",
        ),
        (
            "2_Normalize/config.json",
            {"module_input_name": "token_embeddings"},
            "'2_Normalize/config.json' says module_input_name 'token_embeddings': the runtime",
        ),
    ],
)
def test_what_could_change_the_vectors_and_is_not_known_is_refused(
    tmp_path: Path, name: str, content: dict[str, object], sentence: str
) -> None:
    folder = make_folder(tmp_path / "encoder", normalize=True)
    if name.startswith("sentence"):
        (folder.path / "sentence_bert_config.json").unlink()
    folder.edit(name, **content)
    with pytest.raises(StagingError) as error:
        read_encoder_folder(folder.path)
    assert str(error.value).startswith(sentence)


def test_a_module_that_nothing_lists_is_refused(folder: Folder) -> None:
    (folder.path / "modules.json").unlink()
    (folder.path / "2_Dense").mkdir()
    with pytest.raises(StagingError, match=r"^'2_Dense' is the folder of a module of Sentence "):
        read_encoder_folder(folder.path)


def test_what_lies_in_such_folders_and_is_read_by_nobody_is_no_matter(folder: Folder) -> None:
    """The layout of sentence-transformers/all-MiniLM-L6-v2."""
    before = read_encoder_folder(folder.path)
    for name in (
        *(".gitattributes", "README.md", "data_config.json", "train_script.py", "vocab.txt"),
        *("pytorch_model.bin", "tf_model.h5", "rust_model.ot", "onnx/model.onnx", "image.png"),
        *("openvino/openvino_model.xml", "model.fp16.safetensors", "flax_model.msgpack"),
    ):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_bytes(b"\x00")
    folder.edit("special_tokens_map.json", unk_token="[UNK]", cls_token="[CLS]")
    prompts: dict[str, object] = {"__version__": {"pytorch": "2"}, "prompts": {}}
    folder.edit("config_sentence_transformers.json", similarity_fn_name="cosine", **prompts)
    assert read_encoder_folder(folder.path) == before


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "modules.json", "tokenizer.json", "tokenizer_config.json"),
        *("1_Pooling/config.json", "model.safetensors", "sentence_bert_config.json"),
    ],
)
def test_a_pointer_of_git_lfs_is_called_that(folder: Folder, name: str) -> None:
    (folder.path / name).write_bytes(LFS)
    with pytest.raises(StagingError) as error:
        read_encoder_folder(folder.path)
    assert str(error.value) == (
        f"'{Path(name).name}' is a pointer of Git LFS, not the file itself. Install Git LFS and "
        "run 'git lfs pull' in the model's folder, or download the file."
    )


def test_a_tokenizer_that_cannot_be_read_is_refused_before_weights_are_converted(
    folder: Folder,
) -> None:
    file = folder.path / "tokenizer.json"
    whole = file.read_bytes()
    file.write_bytes(b"\xef\xbb\xbf" + whole)
    with pytest.raises(StagingError) as error:
        read_encoder_folder(folder.path)
    assert str(error.value) == (
        "'tokenizer.json' starts with a byte-order mark, which tokenizers does not read. Save the "
        "file as UTF-8 without one."
    )
    file.write_bytes(whole)
    folder.edit("tokenizer.json", model={"type": "Neural", "vocab": {}})
    with pytest.raises(StagingError) as error:
        read_encoder_folder(folder.path)
    assert re.fullmatch(
        r"'tokenizer\.json' cannot be read by tokenizers [\d.]+ \(.+\)\. If a newer one wrote it, "
        r"install that here and in the warehouse; if not, save the tokenizer again\.",
        str(error.value),
    )


@pytest.mark.parametrize(
    "said",
    [
        {"added_tokens_decoder": ["[CLS]"]},
        {"added_tokens_decoder": {"0": {"lstrip": True}}},
        {"tokenizer_class": "T5Tokenizer", "extra_ids": "many"},
        {"additional_special_tokens": 7},
    ],
)
def test_values_that_transformers_does_not_write_are_refused_in_a_sentence(
    folder: Folder, said: dict[str, object]
) -> None:
    folder.edit("tokenizer_config.json", **said)
    with pytest.raises(StagingError, match=r"Save the tokenizer as you use it, with AutoTokenizer"):
        read_encoder_folder(folder.path)


@pytest.mark.parametrize(
    ("said", "of_map", "sentence"),
    [
        (
            {"tokenizer_class": "T5Tokenizer", "extra_special_tokens": {"a_token": "fox"}},
            {},
            "'tokenizer_config.json' says extra_special_tokens: 'T5Tokenizer' has more special ",
        ),
        (
            {"additional_special_tokens": ["fox"]},
            {"additional_special_tokens": ["dog"]},
            "'special_tokens_map.json' says additional_special_tokens [\"dog\"], and ",
        ),
        (
            {"tokenizer_class": "T5Tokenizer", "extra_ids": 1},
            {"extra_special_tokens": ["fox"]},
            "'special_tokens_map.json' says extra_special_tokens [\"fox\"], and "
            "'tokenizer_config.json' or the tokenizer's class [\"<extra_id_0>\"]: transformers 4",
        ),
    ],
)
def test_two_lists_of_more_special_tokens_are_refused(
    folder: Folder, said: dict[str, object], of_map: dict[str, object], sentence: str
) -> None:
    """Their ids were others than those of transformers, in silence."""
    bert_folder.write_json(folder.path / "tokenizer_config.json", said)
    bert_folder.write_json(folder.path / "special_tokens_map.json", of_map)
    with pytest.raises(StagingError) as error:
        tokenizer_file.rewritten(folder.path / "tokenizer.json", folder.path)
    assert str(error.value).startswith(sentence)


OF_TYPE = {
    "LxmertTokenizer": ("lxmert",),
    "BertTokenizer": (
        *("layoutlm", "bros", "visual_bert", "align", "blip", "chinese_clip", "flava"),
    ),
    "RobertaTokenizer": (
        *("ibert", "data2vec-text", "roberta-prelayernorm", "mra", "bridgetower", "clap"),
    ),
    "T5Tokenizer": ("mt5", "switch_transformers"),
    "XLMRobertaTokenizer": ("jina_embeddings_v3", "trocr"),
}


@pytest.mark.parametrize(
    ("model_type", "name"), [(one, name) for name, types in OF_TYPE.items() for one in types]
)
def test_the_models_type_says_the_class_where_no_file_does(
    folder: Folder, model_type: str, name: str
) -> None:
    """TOKENIZER_MAPPING_NAMES of transformers; the file is neither RoBERTa's nor T5's."""
    folder.edit("config.json", model_type=model_type)
    bert_folder.write_json(folder.path / "tokenizer_config.json", {"do_lower_case": False})
    place = folder.path / "tokenizer.json"
    if name in ("BertTokenizer", "LxmertTokenizer"):
        made = tokenizer_file.rewritten(place, folder.path)
        assert made is not None
        assert json.loads(made)["normalizer"]["lowercase"] is False
        return
    if name in ("T5Tokenizer", "XLMRobertaTokenizer"):
        model = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}
        folder.edit("tokenizer.json", model=model)
    with pytest.raises(StagingError, match=f"tokenizer_class '{name}'"):
        tokenizer_file.rewritten(place, folder.path)


@pytest.mark.parametrize(
    ("file", "said", "half"),
    [
        ("config.json", {"torch_dtype": "float32"}, None),
        ("config.json", {"torch_dtype": "float16"}, "float16"),
        ("sentence_bert_config.json", {"model_args": {"dtype": "torch.bfloat16"}}, "bfloat16"),
    ],
)
def test_half_precision_is_noted(
    folder: Folder,
    capsys: pytest.CaptureFixture[str],
    file: str,
    said: dict[str, Any],
    half: str | None,
) -> None:
    folder.edit(file, **said)
    build(Local(folder.path), "half", folder.path.parent / "cache", Report())
    note = f"Note: the folder asks for {half}; the artifact computes float32."
    came = capsys.readouterr().err
    assert (note in came) if half else ("Note: the folder" not in came)


def test_the_artifact_gets_the_tokenizer_that_transformers_makes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Issue 11: do_lower_case false and truncation_side left were ignored in silence."""
    folder = make_folder(tmp_path / "encoder", normalize=True)
    plain = build(Local(folder.path), "plain", tmp_path / "cache", Report())
    assert "asks for another" not in capsys.readouterr().err
    said: dict[str, object] = {"do_lower_case": False, "truncation_side": "left"}
    folder.edit("tokenizer_config.json", tokenizer_class="BertTokenizer", **said)
    cased = build(Local(folder.path), "cased", tmp_path / "cache", Report())
    assert "ask for a tokenizer that differs from 'tokenizer.json'" in capsys.readouterr().err
    assert cased.version != plain.version

    def embedded(artifact: Artifact, *texts: str) -> np.ndarray:
        unpacked = tf_embeddings_udf.unpack(
            artifact.path, tmp_path / "unpacked", model=artifact.model, build=artifact.build
        )
        return tf_embeddings_udf.load(unpacked).embed(list(texts)).embeddings

    lower, upper = embedded(plain, "the quick fox", "The Quick Fox")
    assert np.array_equal(lower, upper)
    lower, upper = embedded(cased, "the quick fox", "The Quick Fox")
    assert not np.allclose(lower, upper, atol=1e-3)
    end = "fox jumps over the lazy dog " * 3  # 18 tokens, and two special ones: the limit
    cut, whole = embedded(cased, "a person is riding " * 9 + end, end)
    np.testing.assert_allclose(cut, whole, atol=1e-6)
