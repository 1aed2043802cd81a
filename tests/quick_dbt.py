"""What makes a call of dbt in this process cheap; imported for its effect.

dbt does the same work in each call, because a user's process makes one. A process of the tests
makes hundreds. None of this changes what dbt parses, checks or writes.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, cast

from dbt.artifacts.schemas import base
from dbt.clients import jinja_static
from dbt.contracts.graph.nodes import Macro
from dbt.parser import manifest as parser
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.dataclass_schema import dbtClassMixin
from dbt_common.tests import enable_test_caching
from dbt_common.utils.encoding import JSONEncoder

# What they import is theirs to replace.
_base, _static, _parser = (cast("Any", module) for module in (base, jinja_static, parser))

# dbt's own switch for tests: it parses a macro's text once a process, not once a call.
enable_test_caching()

# dbt looks for the name of the module that declares a flag, for a warning's text, by a walk through
# all modules for each frame of the stack. Once TensorFlow is imported, that is 90 % of a call.
BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")


def _write_json(path: str, content: dict[str, Any]) -> bool:
    """Write what `json.dump` writes, ten times as fast: only `json.dumps` encodes in C."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text(json.dumps(content, cls=JSONEncoder), encoding="utf-8")
    return True


_base.write_json = _write_json

# Only to parse with; dbt makes one for each macro.
_static.get_environment = functools.cache(_static.get_environment)

_validate = dbtClassMixin.__dict__["validate"].__func__
_valid: set[tuple[type, str]] = set()


def _validate_once(cls: type, content: object) -> None:
    """Validate by the class's JSON schema, unless an equal content was valid before."""
    key = (cls, repr(content))
    if key not in _valid:
        _validate(cls, content)
        _valid.add(key)


cast("Any", dbtClassMixin).validate = classmethod(_validate_once)

_docs_context = _parser.generate_runtime_docs_context


def _docs_context_if_needed(config: Any, target: Any, *rest: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make a context to render descriptions in, unless they are a macro's and hold no Jinja."""
    if isinstance(target, Macro):
        descriptions = [
            target.description,
            *(argument.description for argument in target.arguments),
        ]
        if not any("{" in text or "}" in text for text in descriptions):
            return {}
    return _docs_context(config, target, *rest)


_parser.generate_runtime_docs_context = _docs_context_if_needed
