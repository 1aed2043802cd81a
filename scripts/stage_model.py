"""Stage a text-embedding model: fetch, convert and test it, put it on the stage, print its pin.

python dbt_packages/tf_embeddings/scripts/stage_model.py minilm --write
"""

from __future__ import annotations

import sys
from pathlib import Path

_SCRIPTS = Path(__file__).resolve().parent
sys.path[:0] = [str(_SCRIPTS), str(_SCRIPTS.parent / "udf_src")]

try:
    from tf_embeddings_staging.cli import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("tf_embeddings_"):
        raise
    package = Path(sys.argv[0]).parent.parent.as_posix()
    sys.exit(
        f"stage_model: the Python package '{error.name.partition('.')[0]}' is not installed. "
        f"Install it with: pip install -r {package}/requirements.txt"
    )

if __name__ == "__main__":
    sys.exit(main())
