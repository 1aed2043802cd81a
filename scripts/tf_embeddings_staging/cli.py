"""The command line of stage_model.py."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tf_embeddings_staging import pin, snowflake_stage, stage
from tf_embeddings_staging.build import Artefact, build, packages_of
from tf_embeddings_staging.cache import cache_folder
from tf_embeddings_staging.catalogue import Entry, catalogue
from tf_embeddings_staging.dbt_process import DbtOptions, run_macro
from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Built, Source, resolve
from tf_embeddings_staging.target import Target, find_target, project_folder

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

# A node of a standard warehouse has about 16 GB, which several worker processes share.
# https://docs.snowflake.com/en/user-guide/warehouses-snowpark-optimized
_MOST_MEMORY = 2 * 2**30


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
        help="a name of the catalogue, the folder of a SavedModel that takes strings, the folder "
        "of a BERT sentence encoder, or an artefact that was made before (<model>-<build>.zip), "
        "whose bytes are staged as they are",
    )
    parser.add_argument(
        "--name", help="the model's name; a model of the catalogue and an artefact have one"
    )
    parser.add_argument("--write", action="store_true", help="write the pin to dbt_project.yml")
    parser.add_argument(
        "--dry-run", action="store_true", help="fetch, build and probe; put and write nothing"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="then embed the artefact's golden texts in the warehouse and compare",
    )
    dbt = parser.add_argument_group("dbt's own flags")
    dbt.add_argument("--project-dir", help="the folder of dbt_project.yml")
    dbt.add_argument("--profiles-dir", help="the folder of profiles.yml")
    dbt.add_argument("--profile", help="the profile to use")
    dbt.add_argument("--target", "-t", help="the profile's target to stage for")
    dbt.add_argument("--vars", help="variables for the project, as YAML")
    return parser


def _stage(options: argparse.Namespace, report: Report) -> None:
    if options.verify and options.dry_run:
        raise UsageError("--verify needs the model on the stage, where --dry-run puts nothing.")
    source = resolve(options.source)
    name = _name(options.name, source)
    folder = cache_folder()
    project_file = project_folder(options.project_dir) / "dbt_project.yml"
    dbt = DbtOptions(
        options.project_dir, options.profiles_dir, options.profile, options.target, options.vars
    )
    packages = pin.kept_packages(project_file, name, packages_of(source))
    # Before the model, which may take minutes: dbt finds what is wrong with a project in seconds.
    report.say("Asking dbt for the stage ...")
    target = find_target(dbt, packages)
    for warning in target.warnings:
        report.say(f"Warning: {warning}")
    artefact = replace(build(source, name, folder, report), packages=packages)
    _warn_of_memory(artefact, target, report)
    _put(artefact, target, dbt, options.dry_run, report)
    print(pin.render(name, artefact.pin()), end="", flush=True)
    if options.verify:
        _verify(artefact, dbt, report)

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


def _put(
    artefact: Artefact, target: Target, dbt: DbtOptions, dry_run: bool, report: Report
) -> None:
    """Put an artefact on the target's stage, unless it is there; say where."""
    if target.type == "snowflake":
        report.say("Looking at the stage ...")
        outcome = snowflake_stage.put(artefact, dbt, dry_run=dry_run)
    else:
        outcome = stage.stage(artefact, target.folder, report, dry_run=dry_run)
    if outcome.was_there:
        report.say(f"{artefact.model} is staged already: {outcome.place}")
    elif dry_run:
        report.say(f"Dry run: {artefact.model} would be put to {outcome.place}")
    else:
        report.say(f"{artefact.model} is staged: {outcome.place}")


def _warn_of_memory(artefact: Artefact, target: Target, report: Report) -> None:
    taken = artefact.memory_bytes
    if target.type == "snowflake" and taken is not None and taken > _MOST_MEMORY:
        report.say(
            f"Warning: embedding a batch took {taken / 2**30:.1f} GiB of memory here, and each of "
            f"the several processes of a node takes as much. A standard warehouse has about 16 GB "
            f"a node, whatever its size: use a Snowpark-optimized one."
        )


def _verify(artefact: Artefact, dbt: DbtOptions, report: Report) -> None:
    """Have the warehouse recompute the golden vectors.

    Raises:
        StagingError: they differ by more than the tolerance.
    """
    report.say("Verifying: the golden texts, embedded where the model is staged ...")
    answer = run_macro(dbt, "_verify_staged", {"model": artefact.model, "pin": artefact.pin()})
    report.say(answer["line"])
    if answer["problem"]:
        raise StagingError(answer["problem"].removeprefix("verify: "))
    report.say(f"{artefact.model} is verified.")


def _name(given: str | None, source: Source) -> str:
    """Return the model's name.

    Raises:
        UsageError: a folder was given without, an artefact with another, or it is no name.
    """
    if isinstance(source, Built):
        if given in (None, source.model):
            return source.model
        raise UsageError(
            f"--name '{given}' is another name than the artefact's, which is '{source.model}' for "
            f"ever. Leave --name out."
        )
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
