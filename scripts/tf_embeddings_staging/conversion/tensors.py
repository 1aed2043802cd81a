"""Files of tensors in the safetensors format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import require_no_pointer


def open_tensors(path: Path, label: str) -> Any:  # noqa: ANN401 - safetensors.safe_open
    """Open a file for `with`; its header is checked, and no tensor is read yet.

    Args:
        path: the file.
        label: what messages call it.

    Raises:
        StagingError: it is not a safetensors file, or a part of one.
    """
    import ml_dtypes  # noqa: F401 - teaches NumPy bfloat16; TensorFlow brings it
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(str(path), "np")
    except SafetensorError as error:
        raise StagingError(
            f"'{label}' is not a complete safetensors file ({error}). Download or save it again."
        ) from None


def require_complete(path: Path) -> None:
    """Refuse a file, if there is one, that is not a safetensors file.

    Raises:
        StagingError: it is a part of one, or a pointer of Git LFS.
    """
    require_no_pointer(path)
    if path.is_file():
        with open_tensors(path, path.name):
            pass


def require_float(label: str, name: str, kind: str) -> None:
    """Refuse a tensor whose numbers are of a type that the converter does not know.

    Raises:
        StagingError: they are, such as those of a quantized model.
    """
    if kind not in ("F64", "F32", "F16", "BF16"):
        raise StagingError(
            f"'{label}' has {name} of type {kind}; the converter knows F64, F32, F16 and BF16. "
            f"Stage the model that is not quantized."
        )
