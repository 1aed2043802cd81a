"""The command line of stage_model.py."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tf_embeddings_staging import pin, stage
from tf_embeddings_staging.build import build
from tf_embeddings_staging.cache import cache_folder
from tf_embeddings_staging.catalogue import Entry, catalogue
from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Source, resolve
from tf_embeddings_staging.target import DbtOptions, find_target, project_folder

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class UsageError(StagingError):
    """The command line itself is wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Stage a model; return 0, 1 where something is wrong, 2 where the command line is."""
    options = _parser().parse_args(arguments)
    try:
        _stage(options, Report())
    except StagingError as error:
        return _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except ModuleNotFoundError as error:
        return _fail(str(missing_package((error.name or "").partition(".")[0])), 1)
    except OSError as error:
        what = f"'{error.filename}': {error.strerror}" if error.filename else str(error)
        return _fail(f"{what}.", 1)
    except KeyboardInterrupt:
        return _fail("interrupted. Run it again: what was fetched and built is kept.", 130)
    return 0


def _fail(sentence: str, code: int) -> int:
    print(f"stage_model: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stage_model",
        description="Stage a text-embedding model for dbt: fetch, convert, probe, put, print its "
        "pin. Safe to run again.",
        epilog="Models of the catalogue: "
        + "; ".join(f"{entry.name} ({entry.about})" for entry in catalogue().values()),
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a name of the catalogue, the folder of a SavedModel that takes strings, or the "
        "folder of a BERT sentence encoder",
    )
    parser.add_argument("--name", help="the model's name; a model of the catalogue has one")
    parser.add_argument("--write", action="store_true", help="write the pin to dbt_project.yml")
    parser.add_argument(
        "--dry-run", action="store_true", help="fetch, build and probe; put and write nothing"
    )
    dbt = parser.add_argument_group("dbt's own flags")
    dbt.add_argument("--project-dir", help="the folder of dbt_project.yml")
    dbt.add_argument("--profiles-dir", help="the folder of profiles.yml")
    dbt.add_argument("--profile", help="the profile to use")
    dbt.add_argument("--target", "-t", help="the profile's target to stage for")
    dbt.add_argument("--vars", help="variables for the project, as YAML")
    return parser


def _stage(options: argparse.Namespace, report: Report) -> None:
    source = resolve(options.source)
    name = _name(options.name, source)
    folder = cache_folder()
    project = project_folder(options.project_dir)
    dbt = DbtOptions(
        options.project_dir, options.profiles_dir, options.profile, options.target, options.vars
    )
    # Before the model, which may take minutes: dbt finds what is wrong with a project in seconds.
    with report.step("Asking dbt for the stage"):
        target = find_target(dbt)
    artefact = build(source, name, folder, report)
    if stage.is_staged(artefact, target.stage):
        report.say(f"{name} is staged already: {target.stage / artefact.place}")
    elif options.dry_run:
        report.say(f"Dry run: {name} would be put to {target.stage / artefact.place}")
    else:
        report.say(f"{name} is staged: {stage.put(artefact, target.stage, report)}")

    print(pin.render(name, artefact.pin()), end="", flush=True)
    project_file = project / "dbt_project.yml"
    if options.dry_run:
        report.say("Dry run: nothing was put and nothing was written.")
    elif not options.write:
        report.say(f"This is the pin of {name}: add it to {project_file}, or run with --write.")
    elif pin.write(project_file, name, artefact.pin()):
        report.say(f"The pin of {name} was written to {project_file}")
        if pin.needs_default(project_file):
            report.say(
                "There are several models now: embed(text) needs a var tf_embeddings_default_model "
                "with the name of one, or say which in the call: embed(text, model='…')."
            )
    else:
        report.say(f"The pin of {name} is in {project_file} already.")


def _name(given: str | None, source: Source) -> str:
    """Return the model's name.

    Raises:
        UsageError: a folder was given without, or it is no name.
    """
    if given is None:
        if isinstance(source, Entry):
            return source.name
        raise UsageError(f"the model in '{Path(source.path).name}' needs a name: add --name NAME.")
    if _NAME.fullmatch(given):
        return given
    raise UsageError(
        f"--name '{given}' is not a name: it starts with a letter a-z and has up to 40 characters "
        f"a-z, 0-9 and _."
    )
