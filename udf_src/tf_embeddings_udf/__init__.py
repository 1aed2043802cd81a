"""The runtime of tf_embeddings: everything that runs inside a UDF.

It imports nothing of the repository, for a copy of it travels in each artefact:

    from tf_embeddings_udf import load, unpack

    embedder = load(unpack(zip_path, cache, model="minilm", build="b0123456789ab"))
    outcomes = embedder.embed(["a text", None, ""])
"""

from __future__ import annotations

from tf_embeddings_udf.artefact import build_of, unpack
from tf_embeddings_udf.embedder import Embedder, cached, load
from tf_embeddings_udf.errors import PIP_COMMAND, TfEmbeddingsError, stage_command
from tf_embeddings_udf.manifest import CONTRACT, FORMAT, Manifest, read_manifest

__all__ = [
    "CONTRACT",
    "FORMAT",
    "PIP_COMMAND",
    "Embedder",
    "Manifest",
    "TfEmbeddingsError",
    "build_of",
    "cached",
    "load",
    "read_manifest",
    "stage_command",
    "unpack",
]
