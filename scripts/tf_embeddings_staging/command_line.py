"""What the command lines of this package share: dbt's flags, errors in one sentence, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions


class UsageError(StagingError):
    """The command line itself is wrong."""


class Parser(argparse.ArgumentParser):
    """Reports an error in one sentence, like the rest of the script."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse says, without its usage."""
        said = re.sub(r"^argument ([^:]*): ", r"\1: ", message)
        raise UsageError(f"{said.rstrip('.')}. --help shows what is allowed.")


def add_dbt_flags(parser: argparse.ArgumentParser, target: str) -> None:
    """Add dbt's own flags; `target` says what the script does with a target."""
    group = parser.add_argument_group("dbt's own flags")
    group.add_argument("--project-dir", help="the folder of dbt_project.yml")
    group.add_argument("--profiles-dir", help="the folder of profiles.yml")
    group.add_argument("--profile", help="the profile to use")
    group.add_argument("--target", "-t", help=f"the profile's target {target}")
    group.add_argument("--vars", help="variables for the project, as YAML")


def dbt_options(given: argparse.Namespace) -> DbtOptions:
    """Return dbt's own flags as they were given."""
    return DbtOptions(
        given.project_dir, given.profiles_dir, given.profile, given.target, given.vars
    )


def whole_number(text: str) -> int:
    """Return an option's whole number of at least 1."""
    if re.fullmatch("[0-9]{1,9}", text) and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return the check of an option that has these values."""

    def check(text: str) -> str:
        if text in allowed:
            return text
        raise argparse.ArgumentTypeError(f"'{text}' is not one of {', '.join(allowed)}")

    return check


def run(script: str, work: Callable[[], None], *, interrupted: str, debug: bool = False) -> int:
    """Do the script's work; return 0, 1 for an error, 2 for a wrong command line.

    130 for Ctrl-C, and for what ends a program in CI, in a container or with its terminal: these
    too leave no process and no temporary file.

    Args:
        script: its name, which begins each error.
        work: what it does.
        interrupted: what to say after Ctrl-C.
        debug: whether to show an error's details.
    """
    try:
        with _interruptible():
            work()
    except StagingError as error:
        return _fail(script, error, 2 if isinstance(error, UsageError) else 1, debug=debug)
    except ModuleNotFoundError as error:
        missing = missing_package((error.name or "").partition(".")[0])
        return _fail(script, missing, 1, debug=debug)
    except OSError as error:
        what = f"'{error.filename}': {error.strerror}" if error.filename else str(error)
        return _fail(script, StagingError(f"{what}."), 1, debug=debug)
    except KeyboardInterrupt:
        return _fail(script, StagingError(f"interrupted. {interrupted}"), 130, debug=debug)
    return 0


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Make the first signal to end what Ctrl-C is; later ones must not end the cleaning up."""
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # nohup ignores SIGHUP; only the main thread may set what a signal does.
    here = threading.current_thread() is threading.main_thread()
    ours = [each for each in signals if here and signal.getsignal(each) is signal.SIG_DFL]

    def interrupt(number: int, frame: object) -> NoReturn:
        for each in ours:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for each in ours:
            signal.signal(each, interrupt)
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


def _fail(script: str, error: StagingError, code: int, *, debug: bool) -> int:
    print(f"{script}: {_placed(script, str(error))}", file=sys.stderr)
    if error.details and debug:
        print(f"\n{error.details}", file=sys.stderr)
    return code


def _placed(script: str, message: str) -> str:
    """Return a message whose commands name the package's folder as it was called."""
    called = Path(sys.argv[0])
    if called.parts[-2:] != ("scripts", f"{script}.py"):
        return message
    package = called.parent.parent.as_posix()
    return re.sub(r"(?<![\w./-])dbt_packages/tf_embeddings(?=/)", lambda _: package, message)
