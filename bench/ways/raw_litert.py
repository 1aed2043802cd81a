"""LiteRT itself: the texts are tokenized before the clock starts.

One interpreter a core, with one thread each; they share the model's bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ways.sorted_batches import run_sorted, tokenizer

if TYPE_CHECKING:
    from worker import Call, Way


def start(model: str, tokenizer_file: str, max_tokens: str, budget: str, threads: str) -> Way:
    """Load the model of an artifact."""
    content = Path(model).read_bytes()
    own = threading.local()

    def make() -> None:
        own.interpreter = _Interpreter(content)

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return own.interpreter.run(ids, mask)

    pool = ThreadPoolExecutor(int(threads), initializer=make)
    token_ids = tokenizer(tokenizer_file, int(max_tokens))

    def way(texts: Sequence[str]) -> Call:
        return partial(run_sorted, token_ids(texts), int(budget), pool, run, np.int32)

    return way


class _Interpreter:
    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=content, num_threads=1)
        runner = self._interpreter.get_signature_runner()
        inputs = runner.get_input_details()
        self._places = [inputs[name]["index"] for name in ("input_ids", "attention_mask")]
        [output] = runner.get_output_details().values()
        self._output = output["index"]
        self._shape: tuple[int, ...] | None = None

    def run(self, *inputs: np.ndarray) -> np.ndarray:
        shape = inputs[0].shape
        if shape != self._shape:
            for place in self._places:
                self._interpreter.resize_tensor_input(place, shape)
            self._interpreter.allocate_tensors()
            self._shape = shape
        for place, value in zip(self._places, inputs, strict=True):
            self._interpreter.set_tensor(place, value)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)
