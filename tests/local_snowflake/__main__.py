"""The command line: `serve` a local Snowflake, or `run` a command beside one."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local_snowflake.server import serve


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="local_snowflake", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve until interrupted")
    serving.add_argument("--port", type=int, default=0)
    running = commands.add_parser("run", help="run a command; its port is in LOCAL_SNOWFLAKE_PORT")
    running.add_argument("rest", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    with serve(getattr(options, "port", 0)) as port:
        if options.command == "serve":
            print(f"local_snowflake listens on 127.0.0.1, port {port}", flush=True)
            sys.stdin.read()
            return 0
        environment = {**os.environ, "LOCAL_SNOWFLAKE_PORT": str(port)}
        command = [part for part in options.rest if part != "--"]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
