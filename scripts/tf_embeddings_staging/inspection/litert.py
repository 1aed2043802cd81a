"""Checking a model of LiteRT that was made elsewhere: it is loaded, but not run.

LiteRT's own ops only compute: none of them reads a file, runs Python or reaches the network. Custom
ops and weights in other files could, so both are refused.
https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError

_AGAIN = "Download the artifact again, or stage the model again."
_MAGIC = slice(4, 8), b"TFL3"


def check_litert_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folder} -> {}: refuse a model that reaches out, or does not load.

    `folder` is an artifact, unpacked. That its model is whole, and has the inputs and the output
    that the manifest names, is what loading it finds.

    Raises:
        StagingError: it is refused.
    """
    from tf_embeddings_udf import TfEmbeddingsError, read_manifest
    from tf_embeddings_udf.encoders import load_encoder
    from tf_embeddings_udf.engines.litert import MODEL_FILE
    from tf_embeddings_udf.manifest import MODEL_FOLDER

    folder = Path(request["folder"])
    _check_content((folder / MODEL_FOLDER / MODEL_FILE).read_bytes())
    try:
        load_encoder(read_manifest(folder), folder, threads=1)
    except TfEmbeddingsError as error:
        raise StagingError(str(error).removeprefix("tf_embeddings: ")) from None
    return {}


def _check_content(content: bytes) -> None:
    """Refuse a file with custom ops or weights elsewhere, or of a format other than LiteRT's.

    Raises:
        StagingError: it is refused.
    """
    from ai_edge_litert import schema_py_generated as schema

    place, magic = _MAGIC
    if content[place] != magic:
        raise StagingError(f"the artifact's model is not a LiteRT file. {_AGAIN}")
    try:
        model: Any = schema.ModelT.InitFromPackedBuf(content, 0)  # typed wrongly
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise StagingError(f"the artifact's model is damaged ({error}). {_AGAIN}") from None
    custom = schema.BuiltinOperator.CUSTOM
    for code in model.operatorCodes or ():
        if code.customCode or custom in (code.builtinCode, code.deprecatedBuiltinCode):
            name = (code.customCode or b"").decode(errors="replace")
            raise StagingError(
                f"the artifact's model has the custom op {name!r}, which is not LiteRT's own."
            )
    if model.externalBufferGroups or model.externalBuffers:
        raise StagingError("the artifact's model has weights in other files.")
