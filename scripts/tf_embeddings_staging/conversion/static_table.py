"""The table of a static encoder in its model.safetensors, and what the graph holds of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_staging.conversion.tensors import open_tensors
from tf_embeddings_staging.errors import StagingError

if TYPE_CHECKING:
    import numpy as np

    from tf_embeddings_staging.conversion.dense_module import DenseModule

CONVERTER = 1
"""Counts up when the converter's numbers change: it is a part of a converted model's version."""

OWN, SAVED_BY_TORCH = "embeddings", "embedding.weight"
"""The table's name: Model2Vec's, and that of Sentence Transformers and WordLlama."""

_MAPPING, _WEIGHTS = "mapping", "weights"
_FLOATS = ("F64", "F32", "F16", "BF16")
_TYPES: Mapping[str, tuple[str, ...]] = {
    OWN: (*_FLOATS, "I8"),
    SAVED_BY_TORCH: (*_FLOATS, "I8"),
    _MAPPING: ("I64", "I32"),
    _WEIGHTS: _FLOATS,
}
_NAMES = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"I8": "int8", "I64": "int64", "I32": "int32"},
}


@dataclass(frozen=True)
class Table:
    """What a model.safetensors says of its table.

    Attributes:
        name: the tensor's name.
        type: of its numbers.
        shape: vectors, and numbers of each.
        tokens: how many tokens it is for: as many as `mapping` or `weights` have, or vectors.
        extras: which of `mapping` and `weights` are there.
    """

    name: str
    type: str
    shape: tuple[int, int]
    tokens: int
    extras: tuple[str, ...]

    @property
    def dimensions(self) -> int:
        """The numbers of a vector."""
        return self.shape[1]

    def asked(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Table:
        """Return what `asked` made, once it was JSON."""
        shape, extras = tuple(fields["shape"]), tuple(fields["extras"])
        return cls(**{**fields, "shape": shape, "extras": extras})


def has_table(path: Path) -> bool:
    """Tell whether a file has a static encoder's tensors, and no others."""
    try:
        found = _header(path)
    except (StagingError, OSError):
        return False
    return {*found} <= {*_TYPES} and bool({*found} & {OWN, SAVED_BY_TORCH})


def read_table(path: Path) -> Table:
    """Return what a file's header says; the tensors themselves are not read.

    Raises:
        StagingError: it is not a safetensors file, or has not the tensors of a static encoder.
    """
    found = _header(path)
    name = SAVED_BY_TORCH if SAVED_BY_TORCH in found else OWN
    # Sentence Transformers saves nothing beside the table, and takes nothing from there.
    allowed = {name} if name == SAVED_BY_TORCH else {name, _MAPPING, _WEIGHTS}
    if name not in found or not {*found} <= allowed:
        raise StagingError(
            f"'{path.name}' has the tensors {', '.join(sorted(found)) or 'none'}; a static encoder "
            f"has {SAVED_BY_TORCH}, or {OWN} with at most {_MAPPING} and {_WEIGHTS}. Is it the "
            f"table of token vectors?"
        )
    for tensor, (kind, shape) in found.items():
        wanted = 2 if tensor == name else 1
        if kind not in _TYPES[tensor] or len(shape) != wanted or 0 in shape:
            listed = ", ".join(_NAMES[one] for one in _TYPES[tensor])
            raise StagingError(
                f"'{path.name}' has {tensor} of type {_NAMES.get(kind, kind)} and shape "
                f"{list(shape)}; it must have {wanted} axes that are not empty, and be of type "
                f"{listed}."
            )
    kind, (rows, columns) = found[name]
    tokens = {found[extra][1][0] for extra in (_MAPPING, _WEIGHTS) if extra in found}
    if len(tokens) > 1 or (_MAPPING not in found and tokens and tokens != {rows}):
        listed = ", ".join(f"{one} {list(found[one][1])}" for one in sorted(found))
        raise StagingError(
            f"'{path.name}' has {listed}, which do not fit: there must be one of each for a "
            f"token. Save the encoder again."
        )
    return Table(
        name=name,
        type=_NAMES[kind],
        shape=(rows, columns),
        tokens=tokens.pop() if tokens else rows,
        extras=tuple(sorted({*found} - {name})),
    )


def _header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of each tensor."""
    with open_tensors(path, path.name) as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}


@dataclass(frozen=True)
class Parts:
    """What the graph looks up: `vectors[mapping[id]] * weights[id]`.

    Attributes:
        vectors: float32 or int8 [vectors, numbers].
        mapping: int32 [tokens]; None: an id is a row of the table.
        weights: float32 [tokens]; None: all 1.
    """

    vectors: np.ndarray
    mapping: np.ndarray | None = None
    weights: np.ndarray | None = None


def load_parts(path: Path, table: Table, dense: Sequence[DenseModule]) -> Parts:
    """Read the tensors; what does not make the table larger is folded into it.

    The mean of linear maps is the map of the mean, so modules Dense are folded into the table.

    Raises:
        StagingError: a mapping leaves the table, or a number is not finite.
    """
    import numpy as np

    with open_tensors(path, path.name) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    vectors, mapping = tensors[table.name], tensors.get(_MAPPING)
    weights = tensors.get(_WEIGHTS)
    if vectors.dtype != np.int8:
        vectors = vectors.astype(np.float32)
    weights = None if weights is None else weights.astype(np.float32)
    for name, values in ((table.name, vectors), (_WEIGHTS, weights)):
        if values is not None and not np.isfinite(values).all():
            raise StagingError(
                f"'{path.name}' has {name} with numbers that are not finite. Download or save the "
                f"folder again."
            )
    if mapping is not None:
        if mapping.min() < 0 or mapping.max() >= len(vectors):
            raise StagingError(
                f"'{path.name}' has mapping from {mapping.min()} to {mapping.max()}, and "
                f"{table.name} has rows 0 to {len(vectors) - 1}. Save the encoder again."
            )
        mapping = mapping.astype(np.int32)
    if dense:
        vectors = vectors.astype(np.float32)
        vectors = vectors if mapping is None else vectors[mapping]
        vectors = vectors if weights is None else vectors * weights[:, None]
        return Parts(_mapped(vectors, dense))
    if weights is not None and mapping is None and vectors.dtype == np.float32:
        return Parts(vectors * weights[:, None])
    return Parts(vectors, mapping, weights)


def _mapped(vectors: np.ndarray, dense: Sequence[DenseModule]) -> np.ndarray:
    """Return the vectors behind the linear maps, in float64 between them."""
    import numpy as np

    mapped = vectors.astype(np.float64)
    for one in dense:
        tensors = one.tensors()
        mapped = mapped @ tensors["linear.weight"].T.astype(np.float64)
        mapped = mapped + tensors["linear.bias"] if one.bias else mapped
    return mapped.astype(np.float32)
