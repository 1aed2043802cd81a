"""The runtime of tf_embeddings: everything that runs inside a UDF.

It imports nothing else of this repository, because a copy of it travels in each artifact:

    from tf_embeddings_udf import load, unpack

    embedder = load(unpack(zip_path, cache, model="minilm", build="b0123456789ab"))
    outcomes = embedder.embed(["a text", None, ""])

`tf_embeddings_udf.snowflake` holds the handlers of Snowflake's functions, and `verify` recomputes
an artifact's golden vectors. Importing these modules neither unpacks nor loads a model.
"""

from __future__ import annotations

from tf_embeddings_udf.artifact import remove, unpack
from tf_embeddings_udf.embedder import Embedder, cached, load, missing_packages
from tf_embeddings_udf.errors import TfEmbeddingsError, pip_command, stage_command
from tf_embeddings_udf.manifest import CONTRACT, FORMAT, Manifest, build_of, read_manifest

__all__ = [
    "CONTRACT",
    "FORMAT",
    "Embedder",
    "Manifest",
    "TfEmbeddingsError",
    "build_of",
    "cached",
    "load",
    "missing_packages",
    "pip_command",
    "read_manifest",
    "remove",
    "stage_command",
    "unpack",
]
