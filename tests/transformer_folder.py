"""Folders of small random transformers: the same weights wherever they are made.

`record_transformers.py` makes them where Sentence Transformers is installed, and records what it
gives; the tests make them again and compare.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Shapes = Mapping[str, Sequence[int]]


def weights(shapes: Shapes) -> dict[str, np.ndarray]:
    """Return random weights, each decided by its name; norms scale by about 1."""
    made = {}
    for name, shape in shapes.items():
        random = np.random.default_rng(zlib.crc32(name.encode()))
        values = random.normal(0, 0.2, shape)
        is_scale = len(shape) == 1 and name.endswith("weight")
        made[name] = (values * 0.5 + is_scale).astype(np.float32)
    return made


def make(folder: Path, case: Mapping[str, Any]) -> Path:
    """Write a case of the fixture as the folder that Sentence Transformers loads."""
    folder.mkdir(parents=True)
    for name, content in case["files"].items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    for name, shapes in case["shapes"].items():
        save_file(weights(shapes), folder / name, metadata={"format": "pt"})
    return folder
