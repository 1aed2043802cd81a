"""A naive UDF, as in the article: each row loads the model, runs it on one text, and drops it.

https://github.com/PrestonBlackburn/Snowflake-With-Tensorflow-Hub
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from worker import Call, Way

from ways.sorted_batches import tokenizer


def start(saved_model: str, tokenizer_file: str, max_tokens: str) -> Way:
    """Import TensorFlow; each row loads the model."""
    import tensorflow as tf

    token_ids = tokenizer(tokenizer_file, int(max_tokens))

    def embed(ids: Sequence[int]) -> np.ndarray:
        model = tf.saved_model.load(saved_model)
        row = tf.constant([ids], tf.int32)
        outputs = model.signatures["serving_default"](
            input_ids=row, attention_mask=tf.ones_like(row)
        )
        return outputs["embedding"].numpy()

    def way(texts: Sequence[str]) -> Call:
        def call() -> np.ndarray:
            return np.concatenate([embed(ids) for ids in token_ids(texts)])

        return call

    return way
