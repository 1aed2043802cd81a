"""What a dbt project says about its embedding models, read without dbt.

    project = read_project("my_project")
    pin = pinned(project)                 # the default model, as the macros choose it
    stage = stage_in_profile(project)     # the stage folder, as the plugin's config names it

YAML is read as it is written; of Jinja, `env_var` and `flags.PROFILES_DIR` are understood.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_stage import Stage, stage_of
from tf_embeddings_udf import TfEmbeddingsError, missing_packages, pip_command

PROJECT_FILE = "dbt_project.yml"
VARS_FILE = "vars.yml"
VARS = "vars"
MODELS = "tf_embeddings_models"
DEFAULT_MODEL = "tf_embeddings_default_model"

_PLUGIN = "tf_embeddings_duckdb"
_SCRIPT = "dbt_packages/tf_embeddings/scripts/stage_model.py"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VERSION = re.compile(r"v[0-9a-f]{12}")
_BUILD = re.compile(r"b[0-9a-f]{12}")
_JINJA = re.compile(
    r"""\{\{\s*(?:
        env_var\(\s*(?P<q>['"])(?P<name>.*?)(?P=q)\s*
            (?:,\s*(?P<r>['"])(?P<default>.*?)(?P=r)\s*)?\)
        | flags[.](?P<flag>PROFILES_DIR)
    )\s*\}\}""",
    re.VERBOSE,
)

_QUOTED = re.compile(r"""(?P<token>'(?:.|<[a-z ]+>)')|['"].*""")


class NotYamlError(TfEmbeddingsError):
    """A file of the project is not YAML.

    Attributes:
        file: the file's name.
        reason: why and where, in one line, without the values, which may be secrets.
    """

    def __init__(self, file: Path, reason: str) -> None:
        """Say which file, and why."""
        super().__init__(f"tf_embeddings: '{file}' is not YAML ({reason}).")
        self.file = file.name
        self.reason = reason


@dataclass(frozen=True)
class Project:
    """A dbt project.

    Attributes:
        folder: where dbt_project.yml is.
        content: the content of dbt_project.yml.
        variables: its vars, or those of vars.yml.
        file: the file that has them.
    """

    folder: Path
    content: Mapping[str, Any]
    variables: Mapping[str, Any]
    file: Path

    @property
    def name(self) -> str:
        """The project's name."""
        return str(self.content.get("name"))

    @property
    def scopes(self) -> tuple[str, str]:
        """The packages below whose names a var may be set, in the order of macro _scoped_vars."""
        return self.name, "tf_embeddings"

    def scope(self, var: str) -> str | None:
        """Return the package below whose name a var is set, or None if it is set for all."""
        return next((one for one in self.scopes if var in map_below(self.variables, one)), None)

    def var(self, name: str) -> Any:  # noqa: ANN401 - any YAML value
        """Return a var's value, or None."""
        scope = self.scope(name)
        return (self.variables if scope is None else self.variables[scope]).get(name)


@dataclass(frozen=True)
class Pin:
    """A model's pin."""

    model: str
    version: str
    build: str
    dimensions: int
    kind: str


def read_project(path: str | os.PathLike[str] = ".") -> Project:
    """Find and read a dbt project.

    Args:
        path: the project's folder, a folder in it, or its dbt_project.yml.

    Raises:
        TfEmbeddingsError: there is no dbt_project.yml, or a file is not YAML.
    """
    start = Path(path).expanduser().absolute()
    start = start.parent if start.name == PROJECT_FILE else start
    around = (start, *start.parents)
    folder = next((one for one in around if (one / PROJECT_FILE).is_file()), None)
    if folder is None:
        raise TfEmbeddingsError(
            f"tf_embeddings: neither '{start}' nor a folder above it has a {PROJECT_FILE}. Give "
            f"the folder of your dbt project: Client('path/to/my_project')."
        )
    return load_project(folder / PROJECT_FILE)


def load_project(file: Path) -> Project:
    """Read the project of this dbt_project.yml, and vars.yml if it has no vars, as dbt 1.12 does.

    Raises:
        NotYamlError: a file is not YAML.
        TfEmbeddingsError: the package that reads YAML is not installed.
    """
    folder = file.parent
    content = _as_map(read_yaml(file))
    variables = map_below(content, VARS)
    vars_file = folder / VARS_FILE
    if not variables and vars_file.is_file():
        elsewhere = map_below(_as_map(read_yaml(vars_file)), VARS)
        if elsewhere:
            variables, file = elsewhere, vars_file
    return Project(folder, content, variables, file)


def pinned(project: Project, model: str | None = None) -> Pin:
    """Return the pin of a model, or of the default model, as the macro _pin chooses it.

    Raises:
        TfEmbeddingsError: the project pins no model, not this one, or several and no default; or
            the pin is not one.
    """
    pins = _as_map(project.var(MODELS))
    where = f"var {MODELS} of project '{project.name}'"
    stage_it = f"{_SCRIPT} … --write, which adds its pin to {project.file.name}."
    if not pins:
        raise TfEmbeddingsError(f"tf_embeddings: {where} has no models. Stage one with {stage_it}")
    names = ", ".join(map(str, pins))
    encoders = [name for name, pin in pins.items() if _as_map(pin).get("kind") != "pairs"]
    candidates = encoders or [*pins]
    default = project.var(DEFAULT_MODEL) or (candidates[0] if len(candidates) == 1 else None)
    if model is None and default is None:
        raise TfEmbeddingsError(
            f"tf_embeddings: {where} has several models ({names}). Pass model='…', or name one in "
            f"var {DEFAULT_MODEL}."
        )
    name = str(model or default)
    if name not in pins:
        said = f"model '{name}'" if model else f"var {DEFAULT_MODEL} is '{name}', which"
        raise TfEmbeddingsError(
            f"tf_embeddings: {said} is not in {where} (it has: {names}). Correct the name, or "
            f"stage it with {stage_it}"
        )
    return _checked(name, pins[name], where)


def _checked(name: str, pin: object, where: str) -> Pin:
    """Return a pin whose parts may become part of SQL and of paths."""
    parts = pin if isinstance(pin, Mapping) else {}
    version, build, dimensions = (parts.get(key) for key in ("version", "build", "dimensions"))
    if (
        _NAME.fullmatch(name)
        and isinstance(version, str)
        and _VERSION.fullmatch(version)
        and isinstance(build, str)
        and _BUILD.fullmatch(build)
        and type(dimensions) is int
        and dimensions >= 1
    ):
        return Pin(name, version, build, dimensions, str(parts.get("kind")))
    raise TfEmbeddingsError(
        f"tf_embeddings: '{name}' in {where} is not a pin: it needs a version, a build and "
        f"dimensions. Copy the pin that {_SCRIPT} prints."
    )


def stage_in_profile(project: Project, target: str | None = None) -> Stage:
    """Return the stage that a target's plugin config names; see `tf_embeddings_duckdb`.

    profiles.yml is looked for where dbt, called in the project's folder, finds it: in
    DBT_PROFILES_DIR, or in the project's folder and then in ~/.dbt. Relative paths start in the
    project's folder, which is also what env_var('DBT_PROJECT_DIR') stands for. Without a profile
    or a plugin in it, the folder is `tf_embeddings_stage` in the project.

    Args:
        project: as `read_project` returns it.
        target: the target's name; that of DBT_TARGET or the profile's own if not given. The
            profile is that of DBT_PROFILE or the project's own.

    Raises:
        TfEmbeddingsError: the profile has no such target, or a value is Jinja that only dbt reads.
    """
    given = os.environ.get("DBT_PROFILES_DIR")
    folders = [Path(given).expanduser()] if given else [project.folder, Path.home() / ".dbt"]
    there = next((one for one in folders if (one / "profiles.yml").is_file()), None)
    render = functools.partial(_rendered, project=project, profiles=there)
    profile: Mapping[str, Any] = {}
    if there is not None:
        named = os.environ.get("DBT_PROFILE") or project.content.get("profile") or project.name
        name = str(render(named))
        profile = map_below(_as_map(read_yaml(there / "profiles.yml")), name)
    outputs = map_below(profile, "outputs")
    correct = "Correct target='…', or leave it out."
    if target is None and there is not None and os.environ.get("DBT_TARGET"):
        target, correct = os.environ["DBT_TARGET"], "Correct DBT_TARGET, or unset it."
    if target is not None and target not in outputs:
        raise TfEmbeddingsError(
            f"tf_embeddings: the profile of project '{project.name}' has no target '{target}' (it "
            f"has: {', '.join(outputs) or 'none'}). {correct}"
        )
    chosen = target or str(render(profile.get("target", "default")))
    plugins = map_below(outputs, chosen).get("plugins")
    for plugin in plugins if isinstance(plugins, list) else []:
        if str(_as_map(plugin).get("module")).rpartition(".")[2] == _PLUGIN:
            config = map_below(plugin, "config")
            return stage_of(
                {key: render(value) for key, value in config.items()},
                "the profile says",
                project.folder,
            )
    return stage_of({}, start=project.folder)


def _rendered(value: Any, project: Project, profiles: Path | None) -> Any:  # noqa: ANN401
    """Return a value of a YAML file as dbt renders it, if its only Jinja is that of _JINJA."""
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match["flag"]:
            return str(profiles)
        if name == "DBT_PROJECT_DIR":
            return str(project.folder)
        found = os.environ.get(name, default)
        if found is None:
            raise TfEmbeddingsError(
                f"tf_embeddings: profiles.yml names the environment variable {name}, which is not "
                f"set. Set it, or pass stage='…', the stage folder."
            )
        return found

    text = _JINJA.sub(replacement, value)
    if "{{" in text or "{%" in text:
        raise TfEmbeddingsError(
            f"tf_embeddings: only dbt can read {value!r} in profiles.yml. Pass stage='…', the "
            f"stage folder."
        )
    return text


def map_below(level: object, key: str) -> Mapping[str, Any]:
    """Return the map below a key, or an empty one."""
    return _as_map(_as_map(level).get(key))


def _as_map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def read_yaml(file: Path, text: str | None = None) -> Any:  # noqa: ANN401 - any YAML value
    """Return the content of a YAML file, or of this text of it.

    Raises:
        NotYamlError: it is not YAML.
        TfEmbeddingsError: the package that reads YAML is not installed.
    """
    if missing_packages(["ruamel.yaml"]):
        raise TfEmbeddingsError(
            f"tf_embeddings: the Python package 'ruamel.yaml', which reads {file.name}, is not "
            f"installed. Install it with: {pip_command('ruamel.yaml')}"
        )
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    parser = YAML(typ="safe", pure=True)
    parser.composer.warn_double_anchors = False  # the warning shows lines of the file
    try:
        return parser.load(file.read_text(encoding="utf-8") if text is None else text)
    except (YAMLError, ValueError, LookupError) as error:
        raise NotYamlError(file, _reason(error)) from None


def _reason(error: Exception) -> str:
    """Return what a YAML parser says and where, without the file's lines and values."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start + 1}"
    mark = getattr(error, "problem_mark", None)
    where = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
    if type(error).__name__ == "DuplicateKeyError":
        return f"a key occurs twice{where}"
    if type(error).__name__ == "ReaderError":
        return "a character outside of YAML"
    said = getattr(error, "problem", None)
    if not said:
        return f"a value is not of its type{where}"
    # In quotes are parts of the file, but for single characters and the names of tokens.
    return _QUOTED.sub(lambda match: match["token"] or "…", " ".join(said.split())) + where
