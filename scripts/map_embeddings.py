"""Draw a map of the embeddings of a dbt model: one HTML page, an SVG, a Parquet file or a table.

python dbt_packages/tf_embeddings/scripts/map_embeddings.py --model tickets_embedded --out map.html
"""

from __future__ import annotations

import sys
from pathlib import Path

_SCRIPTS = Path(__file__).resolve().parent
sys.path[:0] = [str(_SCRIPTS), str(_SCRIPTS.parent / "udf_src")]

try:
    from tf_embeddings_map.cli import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("tf_embeddings_"):
        raise
    package = Path(sys.argv[0]).parent.parent.as_posix()
    sys.exit(
        f"map_embeddings: the Python package '{error.name.partition('.')[0]}' is not installed. "
        f"Install it with: pip install -r {package}/requirements.txt"
    )

if __name__ == "__main__":
    sys.exit(main())
