"""python tests/local_snowflake run -- COMMAND: a local Snowflake for one command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local_snowflake.server import serve

if __name__ == "__main__":
    with serve() as port:
        environment = {**os.environ, "LOCAL_SNOWFLAKE_PORT": str(port)}
        sys.exit(subprocess.run(sys.argv[3:], env=environment, check=False).returncode)
