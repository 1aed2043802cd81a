"""Every format of a model through the runtime, against what the saved model gives directly."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import encoder_makers
import numpy as np
import pytest
from conftest import load_artefact
from encoder_makers import Made
from makers import CORPUS, Artefact, write_artefact
from tf_embeddings_udf import Embedder

SAME = 1e-6

TEXTS = [
    "fox",
    *CORPUS,
    "the lazy dog " * 30,
    "你好 😀 42",
    *(f"{CORPUS[row % 6]} {row}" for row in range(60)),
]

Encoder = dict[str, Any]


def strings(**changes: Any) -> Encoder:  # noqa: ANN401
    """The parameters of a model of kind `text`."""
    return {
        "tags": ["serve"],
        "libraries": [],
        "signature": "serving_default",
        "input": "sentences",
        "rank": 1,
        "output": "output_0",
        "preprocessor": None,
        **changes,
    }


CALLED = strings(signature="__call__", input=None, output=None)

USE_LITE = {
    "tags": [],
    "signature": "default",
    "values": "values",
    "indices": "indices",
    "dense_shape": "dense_shape",
    "output": "default",
    "sentencepiece": encoder_makers.USE_LITE_TOKENIZER,
    "max_tokens": None,
}

PREPROCESSOR = {
    "tags": ["serve"],
    "signature": "serving_default",
    "input": "sentences",
    "rank": 1,
    "output": None,
}

TRANSFORMERS = {
    "signature": "serving_default",
    "input_ids": "input_ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "token_type_ids",
    "output": "last_hidden_state",
    "tokenizer": "tokenizer.json",
    "max_tokens": encoder_makers.POSITIONS,
}

FORMATS: dict[str, Encoder] = {
    "callable_text": CALLED,
    "signature_default_text": strings(signature="default"),
    "serving_default_text": strings(),
    "rank2_text": strings(rank=2),
    "dict_output_text": strings(output="vector"),
    "callable_dict": {**CALLED, "input": "sentences", "output": "vector"},
    "list_output": {**CALLED, "output": "1"},
    "two_vectors_text": strings(output="right"),
    "tf1_text_module": strings(tags=[], signature="default", input="default", output="default"),
    "use_lite_module": USE_LITE,
    "keras_export": strings(input="texts", rank=2),
    "text_ops_model": strings(libraries=["tensorflow_text"], input="inputs", output="outputs"),
    "preprocessor_pair": strings(
        libraries=["tensorflow_text"], input=None, output="pooled_output", preprocessor=PREPROCESSOR
    ),
    "transformers_saved_model": {**TRANSFORMERS, "pooling": "mean"},
}


def staged(made: Made, encoder: Encoder, stage: Path, **overrides: Any) -> Artefact:  # noqa: ANN401
    """Pack a model as the staging CLI does; not normalised, so that lengths are compared too."""
    folder, preprocessor = made.path, None
    if (folder / "saved_model" / "1").is_dir():
        tokenizer = folder / "tokenizer.json"
        folder = folder / "saved_model" / "1"
        shutil.copy(tokenizer, folder)
    if encoder.get("preprocessor"):
        preprocessor = folder.parent / "preprocessor"
    own = {"tokens": ["tokenizers"], "sentencepiece": ["sentencepiece"]}.get(made.kind, [])
    fields = {
        "kind": made.kind,
        "dimensions": made.dimensions,
        "max_tokens": encoder.get("max_tokens"),
        "encoder": encoder,
        "packages": ["numpy", "tensorflow", *own],
        "normalize": False,
        **overrides,
    }
    return write_artefact(folder, fields, stage, preprocessor=preprocessor)


@pytest.fixture(scope="module", params=FORMATS)
def of_format(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Made, Embedder]:
    folder = tmp_path_factory.mktemp(request.param)
    made: Made = getattr(encoder_makers, f"save_{request.param}")(folder / "model")
    return made, load_artefact(staged(made, FORMATS[request.param], folder / "stage"))


def test_a_vector_is_what_the_model_itself_gives(of_format: tuple[Made, Embedder]) -> None:
    """The model gets one text at a time, and the runtime gets them all."""
    made, embedder = of_format
    outcomes = embedder.embed(TEXTS)
    assert set(outcomes.statuses) == {"ok"}
    np.testing.assert_allclose(outcomes.embeddings, made.direct(TEXTS), rtol=0, atol=SAME)


def test_threads_get_what_one_gets(of_format: tuple[Made, Embedder]) -> None:
    _, embedder = of_format
    expected = embedder.embed(TEXTS).embeddings
    with ThreadPoolExecutor(4) as threads:
        for outcomes in threads.map(embedder.embed, [TEXTS] * 8):
            np.testing.assert_allclose(outcomes.embeddings, expected, rtol=0, atol=SAME)


def test_tokens_are_counted_where_the_kind_can(of_format: tuple[Made, Embedder]) -> None:
    made, embedder = of_format
    for outcomes in (embedder.embed([*TEXTS, " ", None]), embedder.count([*TEXTS, " ", None])):
        assert outcomes.statuses.tolist() == ["ok"] * len(TEXTS) + ["blank", "null"]
        if made.tokens is None:
            assert not outcomes.counted.any()
            continue
        counts = [len(made.tokens(text)) for text in TEXTS]
        limit = made.max_tokens or max(counts)
        assert outcomes.counted.tolist() == [True] * (len(TEXTS) + 1) + [False]
        assert outcomes.token_counts.tolist() == [*counts, 0, 0]
        truncated = [count > limit for count in counts]
        assert outcomes.is_truncated.tolist() == [*truncated, False, False]
        assert any(truncated) == (made.max_tokens is not None)
