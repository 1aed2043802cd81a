"""The folders of sentence encoders: what the converter makes of them, and what it refuses."""

from __future__ import annotations

import json
import re
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
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import tokenizer_file
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local

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
        ("adapter_model.safetensors", {}, "'adapter_model.safetensors' is there: PEFT adds an"),
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
