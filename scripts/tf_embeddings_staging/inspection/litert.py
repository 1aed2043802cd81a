"""Looking at a model of LiteRT that was made elsewhere: nothing of it runs.

LiteRT's own ops compute: none of them reads a file, runs Python or reaches the network. What could
are ops of somebody else's (custom ones) and weights in other files, so both are refused.
https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError


def check_litert_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {model} -> {}: refuse a file that reaches out, or is no model.

    Raises:
        StagingError: it does, or is none.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = Path(request["model"]).read_bytes()
    if content[4:8] != b"TFL3":
        raise StagingError("the artefact's model is no file of LiteRT.")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise StagingError(f"the artefact's model is damaged ({error}).") from None
    if custom := sorted({_name(code) for code in model.operatorCodes or () if code.customCode}):
        raise StagingError(
            f"the artefact's model has the custom op {custom[0]}, which is not LiteRT's own."
        )
    if getattr(model, "externalBufferGroups", None):
        raise StagingError("the artefact's model has weights in other files.")
    return {}


def _name(code: Any) -> str:  # noqa: ANN401 - generated, without types
    return repr(code.customCode.decode(errors="replace"))
