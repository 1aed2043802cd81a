"""The command line of stage_model.py."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tf_embeddings_udf import read_manifest
from tf_embeddings_udf.encoders.static import RULES
from tf_embeddings_udf.engines import LITERT, TENSORFLOW

from tf_embeddings_staging import listing
from tf_embeddings_staging.building.artifact import Artifact
from tf_embeddings_staging.building.build import build, likely_packages, look
from tf_embeddings_staging.cache import cache_folder
from tf_embeddings_staging.catalogue import KINDS, Entry, catalogue
from tf_embeddings_staging.command_line import (
    Parser,
    UsageError,
    add_dbt_flags,
    dbt_options,
    one_of,
    run,
    whole_number,
)
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import POOLINGS, Limits, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Built, Source, resolve
from tf_embeddings_staging.warehouse import pin, snowflake_stage, stage
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions, run_macro
from tf_embeddings_staging.warehouse.target import (
    Target,
    find_target,
    project_folder,
    require_place,
)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEBUG = "--debug"
_ENGINES = (LITERT, TENSORFLOW)

# A node of a standard warehouse has about 16 GB, which several worker processes share.
# https://docs.snowflake.com/en/user-guide/warehouses-snowpark-optimized
_MOST_MEMORY = 2 * 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """Stage a model; return 0, 1 for an error, 2 for a wrong command line, 130 if interrupted."""
    return run(
        "stage_model",
        lambda: _run(_parser().parse_args(arguments), Report()),
        interrupted="Run it again: it reuses what was fetched and built.",
        debug=_DEBUG in (sys.argv[1:] if arguments is None else arguments),
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="stage_model",
        description="Stage a text-embedding model for dbt: fetch, inspect, convert and test it, "
        "put it on the stage and print its pin. Safe to run again.",
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="a name of the catalogue (see --list); a Hugging Face id (<owner>/<model>), a TF-Hub "
        "handle, a Kaggle model, or the URL of an archive; the folder of a SavedModel or of a "
        "sentence encoder, an archive of one (.tar.gz, .tgz, .tar, .zip), or a .keras file; or an "
        "existing artifact (<model>-<build>.zip), which is staged unchanged",
    )
    parser.add_argument(
        "--name", help="the model's name; catalogue models and artifacts have one already"
    )
    parser.add_argument("--write", action="store_true", help="write the pin to the project's vars")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="fetch, build and test the model, but put and write nothing",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="after staging, embed the golden texts in the warehouse and compare the vectors",
    )
    parser.add_argument(
        "--inspect",
        action="store_true",
        help="only show the model's signatures, inputs, outputs, ops, sizes and kind, and why it "
        "has that kind. Stages nothing, and needs no dbt project",
    )
    parser.add_argument(
        "--list", action="store_true", help="show the catalogue; needs no SOURCE and no dbt project"
    )
    parser.add_argument(
        "--sort",
        type=one_of(*listing.SORTS),
        help=f"the order of --list: {', '.join(listing.SORTS)}; without, the first choices first. "
        "What is not known of a model comes last",
    )
    parser.add_argument(
        "--catalogue", metavar="FILE", type=Path, help="a file with models of your own, in addition"
    )
    parser.add_argument(
        "--engine",
        type=one_of("auto", *_ENGINES),
        default="auto",
        help="what runs the model: litert, tensorflow, or auto (default): LiteRT if it gives the "
        "same vectors, else TensorFlow",
    )
    parser.add_argument(
        _DEBUG, action="store_true", help="show TensorFlow's full output if something fails"
    )
    _add_model_flags(parser)
    _add_limits(parser)
    add_dbt_flags(parser, "to stage for")
    return parser


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "the model", "These override what inspection finds. Each is part of the version."
    )
    group.add_argument(
        "--kind", type=one_of(*KINDS), help=f"the kind of encoder: {', '.join(KINDS)}"
    )
    group.add_argument(
        "--signature", help="the signature to call, or __call__ for the loaded object itself"
    )
    group.add_argument(
        "--output",
        help="the output that holds the vectors: its key, or its index if __call__ returns a list",
    )
    group.add_argument(
        "--pooling",
        type=one_of(*POOLINGS),
        help=f"how to pool the tokens' vectors: {', '.join(POOLINGS)}",
    )
    group.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        help="scale vectors to length 1, or leave them as they are",
    )
    group.add_argument(
        "--max-tokens",
        metavar="N",
        type=whole_number,
        help="truncate texts to N tokens, special tokens included: fewer than the model's own "
        "limit, or more if the model allows it",
    )
    group.add_argument(
        "--truncate-dim",
        metavar="N",
        type=whole_number,
        help="keep the first N numbers of a vector (Matryoshka models)",
    )
    group.add_argument(
        "--prefix", metavar="TEXT", help='a prefix for each text, such as "query: " for E5'
    )
    group.add_argument(
        "--static-rule",
        type=one_of(*RULES),
        help=f"what a static encoder does to unknown tokens and long texts: {', '.join(RULES)}",
    )
    group.add_argument(
        "--preprocessor",
        metavar="SOURCE",
        help="a SavedModel that turns texts into the model's inputs",
    )
    group.add_argument(
        "--allow-op",
        metavar="OP",
        dest="allow_ops",
        action="append",
        default=[],
        help="allow this TensorFlow op, which is refused by default; may be repeated",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    usual = Limits()
    group.add_argument(
        "--sha256",
        metavar="HEX",
        type=_sha256,
        help="the SHA-256 that the downloaded or local file must have",
    )
    group.add_argument(
        "--size-limit",
        metavar="GIB",
        type=_positive_number,
        default=usual.download_bytes / 2**30,
        help="the most that a download, and what it unpacks to, may take (%(default)g GiB)",
    )
    group.add_argument(
        "--memory-limit",
        metavar="GIB",
        type=_positive_number,
        help="the most memory for a process that runs the model (90 %% of this machine's)",
    )
    group.add_argument(
        "--time-limit",
        metavar="MINUTES",
        type=_positive_number,
        default=usual.seconds / 60,
        help="the most time for such a process (%(default)g minutes)",
    )


def _positive_number(text: str) -> float:
    if re.fullmatch(r"[0-9]{0,9}(\.[0-9]*)?", text) and text != "." and float(text or 0) > 0:
        return float(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")


def _sha256(text: str) -> str:
    if _SHA256.fullmatch(text.lower()):
        return text.lower()
    raise argparse.ArgumentTypeError(f"'{text}' is not a SHA-256, which has 64 hex digits")


def _run(given: argparse.Namespace, report: Report) -> None:
    _require_fitting(given)
    entries = catalogue(given.catalogue)
    if given.list:
        print(listing.table(entries, sort=given.sort), end="")
        return
    source = _pinned(given, entries) or resolve(given.source, entries)
    options = Options(
        **{
            name: getattr(given, name)
            for name in ("kind", "signature", "output", "pooling", "normalize", "max_tokens")
        },
        truncate_dim=given.truncate_dim,
        prefix=given.prefix,
        preprocessor=given.preprocessor,
        allow_ops=tuple(given.allow_ops),
        static_rule=given.static_rule,
        engine=None if given.engine == "auto" else given.engine,
    )
    _require_no_options_for_an_artifact(given, source, options)
    limits = Limits(
        download_bytes=int(given.size_limit * 2**30),
        memory_bytes=int(given.memory_limit * 2**30) if given.memory_limit else None,
        seconds=given.time_limit * 60,
    )
    if given.inspect and not isinstance(source, Built):
        found = look(source, cache_folder(), report, options, limits, given.sha256)
        print(listing.report(found), end="", flush=True)
        if problem := found["report"].get("problem"):
            raise StagingError(problem)
        return
    _stage(given, source, options, limits, report)


def _require_fitting(given: argparse.Namespace) -> None:
    """Refuse flags that contradict each other.

    Raises:
        UsageError: naming them.
    """
    if given.list:
        if given.inspect:
            raise UsageError(
                "--list shows the catalogue and --inspect a model. Give only one of them."
            )
        if given.source:
            raise UsageError("--list shows the whole catalogue. Leave SOURCE out.")
        return
    if given.sort:
        raise UsageError("--sort is for --list. Leave --sort out, or add --list.")
    if not given.source:
        raise UsageError("SOURCE is missing. Name the model to stage; --list shows the catalogue.")
    if given.verify and given.dry_run:
        raise UsageError(
            "--verify needs the model on the stage, but --dry-run puts nothing. Leave one out."
        )
    for flag in ("write", "dry_run", "verify"):
        if given.inspect and getattr(given, flag):
            name = f"--{flag.replace('_', '-')}"
            raise UsageError(f"--inspect stages nothing, so {name} has no effect. Leave it out.")


def _pinned(given: argparse.Namespace, entries: Mapping[str, Entry]) -> Source | None:
    """Return the artifact of a pinned model if SOURCE is only its name.

    Our macros print such a command if a model is missing on the stage.

    Raises:
        StagingError: the model is pinned, but this machine does not have its artifact.
    """
    name = given.source
    if not _NAME.fullmatch(name) or name in entries or Path(name).exists():
        return None
    try:
        project_file = project_folder(given.project_dir) / "dbt_project.yml"
        home, build = pin.home(project_file), pin.pinned_build(project_file, name)
    except StagingError:  # No project that can be read: then nothing is pinned.
        return None
    if build is None:
        return None
    file = f"{name}-{build}.zip"
    for path in sorted((cache_folder() / "artifacts").glob("*/*.zip")):
        if path.name == file:
            return resolve(str(path), {})
    raise StagingError(
        f"'{name}' is pinned in {home.file.name}, but its artifact {file} is not in this machine's "
        f"cache. Stage that file, or the model's source with --name {name} and the same options as "
        f"before."
    )


def _require_no_options_for_an_artifact(
    given: argparse.Namespace, source: Source, options: Options
) -> None:
    if not isinstance(source, Built):
        return
    flags = [*replace(options, allow_ops=()).flags(), *(["--sha256"] if given.sha256 else [])]
    if given.inspect:
        flags = ["--inspect"]
    if flags:
        raise UsageError(
            f"'{source.path.name}' is an artifact, which is staged unchanged; {flags[0]} works "
            f"only with a model. Leave {flags[0]} out."
        )


def _stage(
    given: argparse.Namespace, source: Source, options: Options, limits: Limits, report: Report
) -> None:
    name = _name(given.name, source)
    project_file = project_folder(given.project_dir) / "dbt_project.yml"
    dbt = dbt_options(given)
    asked = pin.kept_packages(project_file, name, likely_packages(source, options))
    # First, because the model may take minutes: dbt finds a project's errors in seconds.
    with report.step("Asking dbt for the stage"):
        target = find_target(dbt, asked)
    pin.require_read(pin.home(project_file), target.dbt)
    require_place(target, project_file.parent)
    _warn(target.warnings, report)
    options = _for_target(options, source, target, report)
    limits = replace(limits, dimensions=target.most_dimensions or limits.dimensions)
    artifact = build(
        source,
        name,
        cache_folder(),
        report,
        options,
        limits,
        given.sha256,
        stage=target.folder if target.type == "duckdb" else None,
        pinned=pin.pinned_build(project_file, name),
    )
    packages = pin.kept_packages(project_file, name, artifact.packages)
    artifact = replace(artifact, packages=packages)
    _warn_of_memory(artifact, target, report)
    _put(artifact, target, dbt, asked, given.dry_run, report)
    home = pin.home(project_file)
    print(pin.render(name, artifact.pin(), home.keys), end="", flush=True)
    if given.verify:
        _verify(artifact, dbt, report)

    if given.dry_run:
        report.say("Dry run: nothing was put or written.")
    elif not given.write:
        report.say(_of_pin(home, name, artifact))
    elif pin.write(project_file, name, artifact.pin()):
        report.say(f"Wrote the pin of {name} to {home.file}")
        before = home.pins.get(name)
        version = before.get("version") if isinstance(before, dict) else artifact.version
        if version != artifact.version:
            report.say(
                f"Note: its version changed from {version} to {artifact.version}: all texts are "
                f"re-embedded. To avoid that, stage {name} with its old options."
            )
        if pin.needs_default(project_file):
            report.say(
                "The project now has several models. Set var tf_embeddings_default_model to one of "
                "them, or name the model in each call: embed(text, model='…')."
            )
    else:
        report.say(f"The pin of {name} is in {home.file} already.")


def _for_target(options: Options, source: Source, target: Target, report: Report) -> Options:
    """Return the options with an engine that the target's functions can use.

    Raises:
        StagingError: --engine or the artifact needs an engine that they cannot use.
    """
    if LITERT in target.engines:
        return options
    is_built = isinstance(source, Built)
    if (read_manifest(source.path).engine if is_built else options.engine) == LITERT:
        what = "this artifact is for LiteRT" if is_built else "--engine litert"
        raise StagingError(
            f"{what}: the target's package repository is not known to have ai-edge-litert. Set var "
            f"tf_embeddings_artifact_repository to snowflake.snowpark.pypi_shared_repository, or "
            f"stage the model with --engine tensorflow."
        )
    if options.engine is None and not is_built:
        report.say(
            "Engine: TensorFlow, because the target's package repository is not known to have "
            "ai-edge-litert."
        )
        return replace(options, engine=TENSORFLOW)
    return options


def _of_pin(home: pin.Home, name: str, artifact: Artifact) -> str:
    """Return what to do with the pin that was printed."""
    pinned = home.pins.get(name)
    build = pinned.get("build") if isinstance(pinned, dict) else None
    if build is None:
        return f"This is the pin of {name}: add it to {home.file}, or run with --write."
    if build == artifact.build:
        return f"{home.file} pins this build of {name} already."
    version = pinned.get("version") if isinstance(pinned, dict) else None
    note = (
        ""
        if version == artifact.version
        else f" The version changes too, from {version}: all texts are re-embedded."
    )
    return (
        f"{home.file} pins build {build} of {name}, which differs from this one. Run with --write "
        f"to pin this one, or stage the file of that build.{note}"
    )


def _put(
    artifact: Artifact,
    target: Target,
    dbt: DbtOptions,
    resolved: Sequence[str],
    dry_run: bool,
    report: Report,
) -> None:
    """Put an artifact on the target's stage unless it is there, and report where."""
    if target.type == "duckdb":
        outcome = stage.stage(artifact, target.folder, report, dry_run=dry_run)
    else:
        report.say("Looking at the stage ...")
        outcome = snowflake_stage.put(artifact, dbt, dry_run=dry_run, resolved=resolved)
    if outcome.broken:
        report.say(
            f"The file there {'has' if dry_run else 'had'} {outcome.size} bytes instead of "
            f"{artifact.path.stat().st_size}. These functions run it and work again "
            f"{'after the next upload' if dry_run else 'now'}: {', '.join(outcome.broken)}"
        )
    if outcome.was_there:
        report.say(f"{artifact.model} is staged already: {outcome.place}")
    elif dry_run:
        report.say(f"Dry run: {artifact.model} would be put to {outcome.place}")
    else:
        report.say(f"{artifact.model} is staged: {outcome.place}")


def _warn(warnings: Sequence[str], report: Report) -> None:
    for warning in warnings:
        report.say(f"Warning: {warning}")


def _warn_of_memory(artifact: Artifact, target: Target, report: Report) -> None:
    taken = artifact.memory_bytes
    if target.type == "snowflake" and taken is not None and taken > _MOST_MEMORY:
        _warn(
            [
                f"a process that embeds a full batch takes {taken / 2**30:.2f} GiB of memory "
                f"(measured where {artifact.model} was built, with "
                f"{_versions(artifact)} on one thread), and a node runs several processes. A "
                f"standard warehouse has about 16 GB a node, whatever its size. Use a "
                f"Snowpark-optimized warehouse."
            ],
            report,
        )


def _versions(artifact: Artifact) -> str:
    return ", ".join(f"{name} {version}" for name, version in artifact.measured_with.items())


def _verify(artifact: Artifact, dbt: DbtOptions, report: Report) -> None:
    """Have the warehouse recompute the golden vectors.

    Raises:
        StagingError: they differ by more than the tolerance.
    """
    with report.step("Verifying: embedding the golden texts in the warehouse"):
        answer = run_macro(dbt, "_verify_staged", {"model": artifact.model, "pin": artifact.pin()})
    report.say(answer["line"])
    if answer["problem"]:
        raise StagingError(answer["problem"].removeprefix("verify: "))
    report.say(f"{artifact.model} is verified.")


def _name(given: str | None, source: Source) -> str:
    """Return the model's name.

    Raises:
        UsageError: the name is missing, is not valid, or differs from the artifact's.
    """
    if isinstance(source, Built) and given not in (None, source.name):
        raise UsageError(
            f"an artifact's name is fixed: '{source.name}', not '{given}'. Leave --name out."
        )
    if given is None:
        if source.name is None:
            raise UsageError(f"the model in '{source.label}' needs a name. Add --name NAME.")
        return source.name
    if _NAME.fullmatch(given):
        return given
    raise UsageError(
        f"--name '{given}' is not valid. A name has up to 40 characters a-z, 0-9 and _, and starts "
        f"with a letter."
    )
