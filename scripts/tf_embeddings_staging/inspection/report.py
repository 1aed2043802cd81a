"""What --inspect shows of a SavedModel, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tf_embeddings_staging.inspection.choosing import candidates
from tf_embeddings_staging.inspection.files import files_of
from tf_embeddings_staging.inspection.graph import Graph, Signature, Tensor
from tf_embeddings_staging.inspection.kinds import Choice
from tf_embeddings_staging.inspection.safety import Danger, Ops


def report_of(model: Graph, ops: Ops) -> dict[str, Any]:
    """Return what the graph and its files hold, before anything is chosen.

    Returns:
        `format` (which loader takes it), `tensorflow` (that saved it), `tags` (of each graph),
        `chosen_tags`, `signatures` (each `name`, `inputs`, `outputs`), `output_candidates` (by
        signature), `ops` (counts), `refused_ops`, `allowed_ops` and `unknown_ops` (each `op`,
        `where`, `why`), `libraries`, `files` (path: bytes). `kind`, `signature`, `output`, `why`
        and `problem` are None until they are known.
    """
    return {
        "format": "TensorFlow 2 objects" if model.is_object else "TensorFlow 1 graph",
        "tensorflow": model.meta.meta_info_def.tensorflow_version or None,
        "tags": [list(tags) for tags in model.all_tags],
        "chosen_tags": list(model.tags),
        "signatures": [_signature(one) for one in model.callables()],
        "output_candidates": {
            one.name: [str(output) for output in candidates(one)] for one in model.callables()
        },
        "ops": dict(ops.counts),
        "refused_ops": _dangers(ops.refused),
        "allowed_ops": _dangers(ops.allowed),
        "unknown_ops": _dangers(ops.unknown),
        "libraries": list(ops.libraries),
        "files": {name: path.stat().st_size for name, path in files_of(model.folder).items()},
        "kind": None,
        "signature": None,
        "output": None,
        "why": None,
        "problem": None,
    }


def chosen(choice: Choice) -> dict[str, Any]:
    """Return what the report says of a choice."""
    return {
        "kind": choice.model.kind,
        "signature": choice.signature.name,
        "output": choice.output.name,
        "why": choice.why,
        "encoder": {"prefix": repr(choice.model.prefix)} if choice.model.prefix else {},
        "prompts": dict(choice.prompts),
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "name": signature.name,
        "inputs": [_tensor(one) for one in signature.inputs],
        "outputs": [_tensor(one) for one in signature.outputs],
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    shape = None if tensor.shape is None else list(tensor.shape)
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": shape}


def _dangers(dangers: Iterable[Danger]) -> list[dict[str, str]]:
    return [{"op": one.op, "where": str(one.place), "why": one.why.rstrip(", ")} for one in dangers]
