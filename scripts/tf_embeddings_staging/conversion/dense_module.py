"""The module Dense of Sentence Transformers: a linear map of a text's vector, after pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_staging.conversion.tensors import open_tensors, require_float
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.sentence_files import read_object

if TYPE_CHECKING:
    import numpy as np

WEIGHTS = "model.safetensors"

_AGAIN = "Download or save the folder again."
_ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.GELU": "gelu",
}


@dataclass(frozen=True)
class DenseModule:
    """One Dense: from vectors of `takes` numbers to `gives`, with or without bias."""

    path: Path
    takes: int
    gives: int
    bias: bool
    activation: str

    @property
    def weights(self) -> Path:
        """The file of its tensors."""
        return self.path / WEIGHTS

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> DenseModule:
        """Return what `asdict` made, with the path as text."""
        return cls(**{**fields, "path": Path(fields["path"])})

    def asked(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "path": str(self.path)}

    def parameters(self) -> dict[str, Any]:
        """Return what goes into the version."""
        return {key: value for key, value in self.asked().items() if key != "path"}

    def tensors(self) -> dict[str, np.ndarray]:
        """Read `linear.weight` [gives, takes] and `linear.bias` [gives], as float32.

        Raises:
            StagingError: the file is not a safetensors file, or a tensor is missing or of the
                wrong shape or type.
        """
        import numpy as np

        label = f"{self.path.name}/{WEIGHTS}"
        with open_tensors(self.weights, label) as file:
            for name in file.keys():  # noqa: SIM118
                require_float(label, name, file.get_slice(name).get_dtype())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        expected: dict[str, tuple[int, ...]] = {"linear.weight": (self.gives, self.takes)}
        if self.bias:
            expected["linear.bias"] = (self.gives,)
        has = {name: tensor.shape for name, tensor in tensors.items()}
        if has != expected:
            raise StagingError(
                f"'{label}' has {_listed(has)}, and its config.json asks for {_listed(expected)}. "
                f"{_AGAIN}"
            )
        return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def read_dense(folder: Path, takes: int) -> DenseModule:
    """Read the config.json of a Dense that follows vectors of `takes` numbers.

    Raises:
        StagingError: it is not one, does not fit, or has an activation that is not known.
    """
    label = f"'{folder.name}/config.json'"
    fields = read_object(folder / "config.json")
    for key in ("module_input_name", "module_output_name"):
        if fields.get(key) not in (None, "sentence_embedding"):
            raise StagingError(
                f"{label} says {key} {fields[key]!r}; the converter knows a Dense of a text's "
                f"vector, sentence_embedding. Use the encoder with Sentence Transformers."
            )
    sizes = {key: fields.get(key) for key in ("in_features", "out_features")}
    for key, value in sizes.items():
        if type(value) is not int or value < 1:
            raise StagingError(
                f"{label} says {key} {value!r}, not a whole number of at least 1. {_AGAIN}"
            )
    if sizes["in_features"] != takes:
        raise StagingError(
            f"{label} says in_features {sizes['in_features']}, and the vectors before it have "
            f"{takes} numbers. {_AGAIN}"
        )
    if fields.get("use_residual"):
        raise StagingError(
            f"{label} says use_residual true; the converter knows a Dense that adds nothing to "
            f"what it gives. Use the encoder with Sentence Transformers."
        )
    bias = fields.get("bias", True)
    if type(bias) is not bool:
        raise StagingError(f"{label} says bias {bias!r}, not true or false. {_AGAIN}")
    said = fields.get("activation_function", "torch.nn.modules.activation.Tanh")
    if not isinstance(said, str) or said not in _ACTIVATIONS:
        raise StagingError(
            f"{label} says activation_function {said!r}; the converter knows "
            f"{', '.join(name.rpartition('.')[2] for name in _ACTIVATIONS)}, all of torch. Use the "
            f"encoder with Sentence Transformers."
        )
    if not (folder / WEIGHTS).is_file():
        raise StagingError(
            f"the folder '{folder.name}' has no '{WEIGHTS}'; weights in another format must be "
            f"saved as safetensors. Load the encoder with Sentence Transformers and save it again."
        )
    gives = int(str(sizes["out_features"]))
    return DenseModule(folder, takes, gives, bias, _ACTIVATIONS[said])


def _listed(shapes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())) or "nothing"
