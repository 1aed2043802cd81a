"""Record what Model2Vec and Sentence Transformers give for the small random encoders.

    pip install sentence-transformers model2vec==0.10.0
    pip install --no-deps --target OLD model2vec==0.9.0
    python tests/record_static.py OLD

PyTorch is needed here only; the tests read the file that this writes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import static_folders

FIXTURE = Path(__file__).parent / "fixtures" / "static.json"
_OLD = """
import json, sys
sys.path.insert(0, sys.argv[1])
from model2vec import StaticModel
from model2vec.version import __version__ as version
assert version.startswith("0.9"), version
vectors = StaticModel.from_pretrained(sys.argv[2]).encode(json.loads(sys.stdin.read()))
print(json.dumps(vectors.tolist()))
"""


def recorded(name: str, old: str) -> list[list[float]]:
    """Return the vectors of a case, by the library that the case names."""
    case = static_folders.CASES[name]
    with tempfile.TemporaryDirectory() as parent:
        folder = static_folders.make(
            Path(parent) / "encoder", name, as_float32=True, as_modules=True
        )
        vectors = _encoded(case.by, str(folder), old)
    return [[round(float(x), 7) for x in row] for row in vectors]


def _encoded(by: str, folder: str, old: str) -> Any:  # noqa: ANN401 - arrays or lists
    if by == "model2vec":
        from model2vec import StaticModel  # pyright: ignore[reportMissingImports]

        return StaticModel.from_pretrained(folder).encode(static_folders.TEXTS)
    if by == "model2vec-0.9":
        said = subprocess.run(
            [sys.executable, "-c", _OLD, old, folder],
            input=json.dumps(static_folders.TEXTS),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(said.stdout)
    from sentence_transformers import (  # pyright: ignore[reportMissingImports]
        SentenceTransformer,
    )

    return SentenceTransformer(folder, device="cpu").encode(static_folders.TEXTS)


def main(old: str) -> None:
    """Write the fixture."""
    made = {
        "versions": {name: version(name) for name in ("model2vec", "sentence-transformers")},
        "vectors": {name: recorded(name, old) for name in static_folders.CASES},
    }
    FIXTURE.write_text(json.dumps(made, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
