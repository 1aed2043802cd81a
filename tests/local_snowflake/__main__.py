"""The command line: `serve` a local Snowflake, or `run` a command beside one."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local_snowflake.keep import KeepError  # noqa: E402
from local_snowflake.server import DATABASE, LOOPBACK, serve  # noqa: E402

LOST = "The account has one database, {database}, and disappears when this server stops."
KEPT = "The account is kept in {folder}."
PROFILE = """
{lifetime} Any user and password will do.

A target for dbt's profiles.yml:

  local_snowflake:
    type: snowflake
    account: local
    host: {host}
    port: {port}
    protocol: http
    user: me
    password: anything
    role: accountadmin
    warehouse: compute_wh
    database: {database_lower}
    schema: dev
    threads: 4

From Python, with snowflake-connector-python:

  import snowflake.connector
  connection = snowflake.connector.connect(
      account="local", host="{host}", port={port}, protocol="http", user="me", password="anything",
      database="{database_lower}",
  )
  print(connection.cursor().execute("select current_role(), current_database()").fetchall())

With the Snowflake CLI:

  snow sql --temporary-connection --account local --host {host} --port {port} --protocol http \\
    --user me --password anything --database {database_lower} --query "show stages in account"

Ctrl-C stops it.
"""


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="local_snowflake", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve until Ctrl-C, SIGTERM or end of input")
    serving.add_argument("--port", type=int, default=0, help="the port; by default any free one")
    serving.add_argument(
        "--profile", action="store_true", help="print a dbt profile and other ways to connect"
    )
    serving.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep the account in a folder, and continue with the one that is there",
    )
    running = commands.add_parser(
        "run",
        help="run a command with a server, whose port is in LOCAL_SNOWFLAKE_PORT; if that is set "
        "already, use the server on that port",
    )
    running.add_argument("rest", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    options = parser.parse_args()
    if options.command == "serve":
        try:
            return _serve(
                options.port, profile=options.profile or sys.stdout.isatty(), keep=options.keep
            )
        except KeepError as error:
            print(f"local_snowflake: {error}", file=sys.stderr)
            return 1
    command = options.rest[1:] if options.rest[:1] == ["--"] else options.rest
    if not command:
        parser.error("run needs a command after --")
    return _run(command)


def _serve(port: int, *, profile: bool, keep: Path | None) -> int:
    ended = threading.Event()
    _on_signals(lambda _number, _frame: ended.set())
    with serve(port, keep) as port:
        print(f"local_snowflake listens on {LOOPBACK}, port {port}", flush=True)
        if profile:
            names = {
                "database": DATABASE,
                "database_lower": DATABASE.lower(),
                "lifetime": KEPT.format(folder=keep) if keep else LOST.format(database=DATABASE),
            }
            print(PROFILE.format(host=LOOPBACK, port=port, **names), flush=True)
        threading.Thread(target=_end_with_input, args=(ended,), daemon=True).start()
        ended.wait()
    return 0


def _end_with_input(ended: threading.Event) -> None:
    """Stop when the input ends, because the parent process may die without a signal."""
    while sys.stdin and os.read(sys.stdin.fileno(), 4096):
        pass
    ended.set()


def _run(command: list[str]) -> int:
    given = os.environ.get("LOCAL_SNOWFLAKE_PORT")
    with nullcontext(int(given)) if given else serve() as port:
        environment = {**os.environ, "LOCAL_SNOWFLAKE_PORT": str(port)}
        try:
            child = subprocess.Popen(command, env=environment)
        except OSError as error:
            print(f"local_snowflake: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        # The terminal sends Ctrl-C to the child itself.
        _on_signals(lambda number, _frame: _pass_on(child, number))
        code = child.wait()
    return 128 - code if code < 0 else code


def _pass_on(child: subprocess.Popen[bytes], number: int) -> None:
    if number == signal.SIGTERM and child.poll() is None:
        child.send_signal(number)


def _on_signals(act: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, act)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # After a normal exit, DuckDB's module reports a false leak.
    os._exit(code)
