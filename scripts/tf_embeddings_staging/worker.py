"""The process that runs TensorFlow and LiteRT: converts, inspects, probes.

    python -m tf_embeddings_staging.worker TASK request.json answer.json

A separate process, so that a model that crashes, hangs or eats the memory gives an error instead
of a dead CLI, and TensorFlow's output stays out of the user's terminal. It ends with its parent.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.sentences import in_one_sentence

Task = Callable[[Mapping[str, Any]], dict[str, Any]]

# A task is a function from a request to an answer, both JSON values. Its module is imported only
# when it is asked for, because each needs different packages.
TASKS: Mapping[str, str] = {
    "check": "tf_embeddings_staging.inspection:check_task",
    "check_golden": "tf_embeddings_staging.building.golden_vectors:check_golden_task",
    "check_litert": "tf_embeddings_staging.inspection.litert:check_litert_task",
    "compare_litert": "tf_embeddings_staging.conversion.litert:compare_litert_task",
    "convert": "tf_embeddings_staging.conversion.transformer_graph:convert_task",
    "convert_litert": "tf_embeddings_staging.conversion.litert:convert_litert_task",
    "convert_static": "tf_embeddings_staging.conversion.static_graph:convert_static_task",
    "convert_keras": "tf_embeddings_staging.conversion.keras_file:convert_keras_task",
    "inspect": "tf_embeddings_staging.inspection:inspect_task",
    "probe": "tf_embeddings_staging.building.probe:probe_task",
    "tf_hub": "tf_embeddings_staging.fetching.tf_hub:tf_hub_task",
}


def main(task: str, request: Path, answer: Path) -> None:
    """Do a task and write its answer.

    Args:
        task: one of `TASKS`, or any other function as `module:function`.
        request: the file with the request.
        answer: the file to write: `{"result": …}`, or `{"error": sentence, "details": long text}`,
            with `"raised": type` if the sentence is from an exception that the task did not expect.
    """
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        written = {"result": _function(task)(json.loads(request.read_bytes()))}
    except StagingError as error:
        written = {"error": str(error), "details": error.details}
    except ModuleNotFoundError as error:
        missing = missing_package(error.name or str(error))
        written = {"error": str(missing), "details": traceback.format_exc()}
    except Exception as error:  # anything that TensorFlow or the model raises
        written = {
            "error": in_one_sentence(error),
            "details": traceback.format_exc(),
            "raised": type(error).__name__,
        }
    answer.write_text(json.dumps(written), encoding="utf-8")


def _function(task: str) -> Task:
    module, _, name = TASKS.get(task, task).partition(":")
    return cast("Task", getattr(import_module(module), name))


def _end_with_the_parent() -> None:
    """End with the parent, which keeps our stdin open while it lives."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
