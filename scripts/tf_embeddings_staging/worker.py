"""The process that runs TensorFlow: converts, inspects, probes.

    python -m tf_embeddings_staging.worker TASK request.json answer.json

It is a process of its own, so that a model that crashes or hangs is an error and not a dead CLI,
and so that TensorFlow's chatter stays out of the user's terminal. It ends when its parent does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_staging.bert import BertConfig
from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.golden import TEXTS

if TYPE_CHECKING:
    from tf_embeddings_udf.encoders import Encoder


def convert(request: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the weights of a sentence encoder into a SavedModel."""
    from tf_embeddings_staging import bert_graph

    config = BertConfig(**request["config"])
    bert_graph.save(config, Path(request["weights"]), request["pooling"], Path(request["target"]))
    return {}


def inspect(request: Mapping[str, Any]) -> dict[str, Any]:
    """Find the signature of a SavedModel, and the length of its vectors by running it."""
    from tf_embeddings_staging import saved_model

    folder = Path(request["folder"])
    found = saved_model.inspect(folder)
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    text = tf.constant(["test"] if found.rank == 1 else [["test"]])
    vectors = loaded.signatures[found.signature](**{found.input: text})[found.output]
    if vectors.shape.rank != 2 or vectors.shape[0] != 1:
        raise StagingError(
            f"the output '{found.output}' of the signature '{found.signature}' has the shape "
            f"{vectors.shape.as_list()} for one text; it must be [1, dimensions]."
        )
    return {**asdict(found), "dimensions": vectors.shape[1]}


def probe(request: Mapping[str, Any]) -> dict[str, Any]:
    """Embed texts with an unpacked artefact, by the artefact's own runtime.

    One thread: what comes out does not depend on how busy the machine is. Then a whole batch of
    long texts, for the memory alone: nothing that a column may hold takes more.
    """
    folder = Path(request["folder"])
    sys.path.insert(0, str(folder))
    import numpy as np
    import tf_embeddings_udf as runtime

    if Path(runtime.__file__ or "").parent.parent != folder:
        raise StagingError(f"the probe ran another runtime than the artefact's: {runtime.__file__}")
    from tf_embeddings_udf.encoders import load_encoder
    from tf_embeddings_udf.planner import Planner
    from tf_embeddings_udf.verify import peak_memory

    try:
        manifest = runtime.read_manifest(folder)
        encoder = load_encoder(manifest, folder, threads=1)
        embedder = runtime.Embedder(manifest, Planner(encoder, manifest))
        texts = request["texts"]
        outcomes = embedder.embed(texts)
        alone = [embedder.embed([text]).embeddings[0] for text in texts[: request["alone"]]]
        embedder.embed(full_batch(encoder, manifest.max_tokens))
    except runtime.TfEmbeddingsError as error:
        raise StagingError(str(error)) from None
    apart = [
        float(np.abs(vector - outcomes.embeddings[row]).max()) for row, vector in enumerate(alone)
    ]
    return {
        # The shortest digits that give the same float32 again.
        "vectors": [[float(str(x)) for x in vector] for vector in outcomes.embeddings],
        "ok": outcomes.valid.tolist(),
        "token_counts": [
            int(count) if counted else None
            for count, counted in zip(outcomes.token_counts, outcomes.counted, strict=True)
        ],
        "apart": max(apart, default=0.0),
        "memory_bytes": peak_memory(),
    }


def full_batch(encoder: Encoder, max_tokens: int | None) -> list[str]:
    """Return texts that fill one batch of the planner, each as long as the model sees.

    Where a model has no limit that anybody knows, they are as long as the longest golden text.
    """
    text = max(TEXTS, key=len)
    (prepared,) = encoder.prepare([text])
    if max_tokens and prepared.token_count:
        text = " ".join([text] * (max_tokens // prepared.token_count + 1))
    # Numbered, for equal texts are embedded once; a number takes as much room as another.
    (prepared,) = encoder.prepare([f"0000 {text}"])
    count = max(1, encoder.budget // max(1, prepared.cost))
    return [f"{number:04} {text}" for number in range(count)]


TASKS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "convert": convert,
    "inspect": inspect,
    "probe": probe,
}


def main(task: str, request: Path, answer: Path) -> None:
    """Do a task and write its answer: `{"result": …}`, or `{"error": sentence}`."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        written = {"result": TASKS[task](json.loads(request.read_bytes()))}
    except StagingError as error:
        written = {"error": str(error)}
    except ModuleNotFoundError as error:
        written = {"error": str(missing_package(error.name or str(error)))}
    answer.write_text(json.dumps(written), encoding="utf-8")


def _end_with_the_parent() -> None:
    """Wait for the end of stdin, which the parent holds open as long as it lives."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
