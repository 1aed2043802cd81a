"""Write a small cross-encoder's folder, which stands for one that cannot be downloaded here.

python tests/small_ranker.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import transformer_folder

FIXTURE = Path(__file__).parent / "fixtures" / "cross_encoders.json"


def make(folder: Path) -> Path:
    """Write it: the case of the fixture whose score is not changed; at most 30 tokens."""
    return transformer_folder.make(folder, json.loads(FIXTURE.read_text())["cases"]["bert"])


if __name__ == "__main__":
    make(Path(sys.argv[1]))
