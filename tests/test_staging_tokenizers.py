"""Where a folder's files disagree, a text has the tokens that Sentence Transformers gives it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import record_tokenizers
from tf_embeddings_staging.conversion.encoder_folder import EncoderFolder, read_encoder_folder
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_udf.encoders.tokens import TokensEncoder
from tf_embeddings_udf.engines import Engine
from tf_embeddings_udf.manifest import MODEL_FOLDER, Manifest

RECORDED = json.loads(record_tokenizers.FIXTURE.read_text(encoding="utf-8"))
FILES: dict[str, Any] = RECORDED["files"]
SIZES = record_tokenizers.sizes_of(FILES)


def laid_out(folder: Path, name: str) -> Path:
    case = record_tokenizers.setting(name, SIZES)
    folder.mkdir()
    record_tokenizers.lay_out(folder, case, FILES[case["of"]])
    (folder / "model.safetensors").touch()  # not read for a tokenizer
    return folder


def tokens_of(encoder: EncoderFolder, unpacked: Path) -> list[list[int]]:
    """Return the ids of the recorded texts, from the runtime; [] for a text without tokens."""
    (unpacked / MODEL_FOLDER).mkdir(parents=True)
    content = encoder.rewritten or encoder.tokenizer.read_bytes()
    (unpacked / MODEL_FOLDER / "tokenizer.json").write_bytes(content)
    # Of the engine, only the names of its inputs are asked for.
    engine = SimpleNamespace(
        name="litert",
        parameter=lambda name: None,
        input_named_by=lambda name: (name, SimpleNamespace(shape=None, dtype=np.int32)),
    )
    manifest = SimpleNamespace(encoder=encoder.model.encoder)
    runtime = TokensEncoder(cast("Manifest", manifest), unpacked, cast("Engine", engine))
    prepared = runtime.prepare(RECORDED["texts"])
    return [[] if one.payload is None else one.payload[0].tolist() for one in prepared]


def test_every_setting_is_recorded() -> None:
    assert RECORDED["settings"].keys() == record_tokenizers.SETTINGS.keys()
    assert RECORDED["texts"] == record_tokenizers.TEXTS


@pytest.mark.parametrize("name", RECORDED["settings"])
def test_a_text_has_the_tokens_of_sentence_transformers(name: str, tmp_path: Path) -> None:
    said = RECORDED["settings"][name]
    encoder = read_encoder_folder(laid_out(tmp_path / "encoder", name))
    # Beyond the last position, Sentence Transformers fails.
    assert encoder.model.max_tokens == min(said["limit"], encoder.config.most_tokens)

    for text, ours, theirs in zip(
        RECORDED["texts"], tokens_of(encoder, tmp_path / "unpacked"), said["ids"], strict=True
    ):
        if len(theirs) == 2 and not text.strip():
            assert ours == []  # special tokens only: a blank text has no vector
        elif len(theirs) <= encoder.config.most_tokens:
            assert ours == theirs, text


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta", "cased in the tokenizer"])
def test_lower_case_that_only_the_folder_says_is_refused(name: str, tmp_path: Path) -> None:
    """Sentence Transformers 5 lowers the text, special tokens too; 6 adds a normalizer."""
    folder = laid_out(tmp_path / "encoder", name)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": True}))
    with pytest.raises(StagingError) as error:
        read_encoder_folder(folder)
    assert str(error.value) == (
        "'sentence_bert_config.json' says do_lower_case true, and the normalizer in "
        "'tokenizer.json' does not lower-case. Make them agree."
    )
