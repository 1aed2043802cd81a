"""The catalogue against what the hub's folders say of themselves, as the converter reads them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import bert_folder
import makers
import pytest
from tf_embeddings_staging.catalogue import UNLIMITED, Entry, catalogue
from tf_embeddings_staging.conversion.encoder_folder import EncoderFolder
from tf_embeddings_staging.conversion.families import FAMILIES, Architecture
from tf_embeddings_staging.conversion.folders import read_folder
from tf_embeddings_staging.conversion.static_folder import StaticFolder
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.sources import HuggingFace

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "published" / "encoder_folders.json").read_bytes()
)["folders"]

# Hugging Face measured 62 and 71 times MiniLM's texts a second for two of them.
SPEED_OF_A_TABLE = 60


def repository_of(entry: Entry) -> str | None:
    return next((one.repository for one in entry.sources if isinstance(one, HuggingFace)), None)


FROM_THE_HUB = [
    name
    for name, entry in catalogue().items()
    if entry.kind in ("tokens", "static") and repository_of(entry)
]


def save_folder(path: Path, said: dict[str, Any]) -> Path:
    """Save the files of a folder that say what an encoder is; its weights are empty."""
    kinds = said["modules"]
    places = ["", "1_Pooling", *(f"{at}_{kind}" for at, kind in enumerate(kinds) if at > 1)]
    if "table" in said:
        places = [said["place"], "1_Normalize"]
    for place in {said.get("place", ""), *places}:
        (path / place).mkdir(parents=True, exist_ok=True)
    if kinds:
        modules = [
            {"idx": at, "path": place, "type": f"sentence_transformers.models.{kind}"}
            for at, (kind, place) in enumerate(zip(kinds, places, strict=False))
        ]
        (path / "modules.json").write_text(json.dumps(modules))
    if "config.json" in said:
        bert_folder.write_json(path / "config.json", said["config.json"])
    tokenizer = path / said.get("place", "") / "tokenizer.json"
    makers.save_tokenizer(tokenizer)
    if "table" in said:
        # As those of the hub; this one truncates.
        bert_folder.write_json(tokenizer, {**json.loads(tokenizer.read_text()), "truncation": None})
        save_empty_table(path / said["place"] / "model.safetensors", said["tensor"], said["table"])
        return path
    (path / "model.safetensors").touch()
    # A class that takes tokenizer.json as it is: this one is not the model's own.
    bert_folder.write_json(
        path / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}
    )
    bert_folder.write_json(path / "1_Pooling/config.json", {"pooling_mode": said["pooling"]})
    limit = {"max_seq_length": said["max_seq_length"], "do_lower_case": False}
    bert_folder.write_json(path / "sentence_bert_config.json", limit)
    if "prompts" in said:
        prompts = {"prompts": said["prompts"], "default_prompt_name": None}
        bert_folder.write_json(path / "config_sentence_transformers.json", prompts)
    if "2_Dense/config.json" in said:
        bert_folder.write_json(path / "2_Dense/config.json", said["2_Dense/config.json"])
        (path / "2_Dense/model.safetensors").touch()
    return path


def save_empty_table(path: Path, tensor: str, shape: list[int]) -> None:
    """Save a table of zeros that takes no room on the disk."""
    rows, columns = shape
    size = rows * columns * 4
    header = json.dumps({tensor: {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}})
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header.encode())
        file.truncate(8 + len(header) + size)


def weights_in_layers(architecture: Architecture) -> int:
    """Return the numbers that each token is multiplied with, biases and norms left out."""
    width, inner = architecture.hidden_size, architecture.intermediate_size
    gated = "gate" in FAMILIES[architecture.model_type].parts
    return architecture.num_hidden_layers * (4 * width**2 + (2 + gated) * width * inner)


def weights(encoder: EncoderFolder) -> int:
    """Return about how many numbers an encoder has: those of its tables and its layers."""
    one = encoder.config
    positions = 0 if one.rotary else one.max_position_embeddings
    rows = one.vocab_size + positions + one.type_vocab_size
    dense = sum(each.takes * each.gives for each in encoder.dense)
    return rows * one.hidden_size + weights_in_layers(one) + dense


@pytest.mark.parametrize("name", FROM_THE_HUB)
def test_an_entry_says_of_a_folder_what_the_converter_reads_there(
    name: str, tmp_path: Path
) -> None:
    entry = catalogue()[name]
    folder = save_folder(tmp_path / "encoder", PUBLISHED[str(repository_of(entry))])
    read = read_folder(folder, entry.options)
    assert read.model.kind == entry.kind
    assert read.model.dimensions == entry.dimensions
    assert read.model.max_tokens == (None if entry.token_limit == UNLIMITED else entry.token_limit)
    assert read.model.prefix == (entry.options.prefix or "")
    assert not read.prompts, "an entry says which of the folder's prefixes is taken"
    assert entry.speed is not None
    assert entry.megabytes is not None
    if isinstance(read, StaticFolder):
        rows, columns = read.table.shape
        assert entry.megabytes == round(rows * columns * 4 / 1e6)
        assert entry.speed == SPEED_OF_A_TABLE
    else:
        # The pooler, which the files have and no vector depends on, is up to 2.4 MB.
        assert entry.megabytes == pytest.approx(weights(read) * 4 / 1e6, rel=0.01)
        minilm = save_folder(tmp_path / "minilm", PUBLISHED[str(repository_of(MINILM))])
        first = read_folder(minilm, Options())
        assert isinstance(first, EncoderFolder)
        ratio = weights_in_layers(first.config) / weights_in_layers(read.config)
        assert entry.speed == pytest.approx(ratio, rel=0.01)


MINILM = catalogue()["minilm"]


def test_every_folder_that_is_recorded_is_that_of_an_entry() -> None:
    assert {*PUBLISHED} == {repository_of(catalogue()[name]) for name in FROM_THE_HUB}


def test_a_table_has_the_speed_of_a_table() -> None:
    tables = {name: one.speed for name, one in catalogue().items() if one.kind == "static"}
    assert set(tables.values()) == {SPEED_OF_A_TABLE}
    assert len(tables) > 4
