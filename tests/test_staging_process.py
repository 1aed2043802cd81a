"""The worker process: what it gives, and what becomes of one that goes wrong."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from tf_embeddings_staging import memory, process
from tf_embeddings_staging.cache import work_folder
from tf_embeddings_staging.errors import (
    CrashedError,
    StagingError,
    StoppedError,
    missing_package,
)
from tf_embeddings_staging.options import Limits
from tf_embeddings_staging.process import python_environment, run
from tf_embeddings_staging.sentences import in_one_sentence
from tf_embeddings_staging.worker import TASKS

MIB = 2**20
_GIVE_UP_SECONDS = 60


@pytest.fixture(autouse=True)
def tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker import tests/worker_tasks.py."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def error_of(
    task: str, folder: Path, request: Mapping[str, Any] | None = None, limits: Limits | None = None
) -> StagingError:
    with pytest.raises(StagingError) as error:
        run(task, request or {}, folder, limits)
    return error.value


def ended(pid: int) -> bool:
    """Wait until a process ended; a zombie has, too."""
    try:
        psutil.Process(pid).wait(_GIVE_UP_SECONDS)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def pid_in(path: Path) -> int:
    until(path.is_file)
    return int(path.read_text())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_task_answers(tmp_path: Path) -> None:
    assert run("worker_tasks:add", {"a": 2, "b": 3}, tmp_path) == {"sum": 5}


def test_an_answer_of_before_is_not_taken_for_one(tmp_path: Path) -> None:
    run("worker_tasks:add", {"a": 2, "b": 3}, tmp_path)
    (tmp_path / "worker_tasks.leave.answer").write_text('{"result": {"sum": 5}}')
    said = str(error_of("worker_tasks:leave", tmp_path, {"code": 0}))
    assert said == (
        "the task 'worker_tasks:leave' ended without an answer. --debug shows what it wrote."
    )


def test_a_task_that_takes_too_much_memory_is_stopped(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=256 * MIB)
    error = error_of("worker_tasks:eat", tmp_path, {"bytes": 512 * MIB}, limits)
    before, _, after = str(error).partition(" took ")
    taken, _, after = after.partition(" GiB of memory")
    assert before == "the task 'worker_tasks:eat'"
    assert float(taken) >= 0.25
    assert after == (
        ", more than the limit of 0.25 GiB, so it was stopped. Raise the limit with "
        "--memory-limit GIB, or choose a smaller model."
    )


def test_the_memory_of_a_child_counts_and_the_child_is_stopped_too(tmp_path: Path) -> None:
    request = {"bytes": 512 * MIB, "pid": str(tmp_path / "pid")}
    limits = Limits(memory_bytes=256 * MIB)
    error = error_of("worker_tasks:eat_in_a_child", tmp_path, request, limits)
    assert "more than the limit of 0.25 GiB" in str(error)
    assert ended(pid_in(tmp_path / "pid"))


def test_the_memory_is_looked_at_more_often_than_for_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one reads a file, the other those of all processes."""
    looks = {"memory_info": 0, "children": 0}

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(psutil.Process, name)

        def count(self: psutil.Process, **options: Any) -> Any:  # noqa: ANN401 - psutil's own
            looks[name] += 1
            return real(self, **options)

        return count

    for name in looks:
        monkeypatch.setattr(psutil.Process, name, counted(name))
    error_of("worker_tasks:hang", tmp_path, limits=Limits(seconds=2))
    assert looks["memory_info"] > 2 * looks["children"] > 2


def test_a_task_within_its_memory_is_left_alone(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=1024 * MIB)
    assert run("worker_tasks:add", {"a": 2, "b": 3}, tmp_path, limits) == {"sum": 5}


def test_a_task_that_hangs_is_stopped(tmp_path: Path) -> None:
    request = {"pid": str(tmp_path / "pid")}
    error = error_of("worker_tasks:hang", tmp_path, request, Limits(seconds=3))
    assert str(error) == (
        "the task 'worker_tasks:hang' did not end within 0.05 minutes, the limit, so it was "
        "stopped. Raise the limit with --time-limit MINUTES if the model needs longer."
    )
    assert ended(pid_in(tmp_path / "pid"))


def test_a_task_that_prints_for_ever_is_stopped_and_its_last_words_are_kept(
    tmp_path: Path,
) -> None:
    error = error_of("worker_tasks:print_for_ever", tmp_path)
    assert str(error) == (
        "the task 'worker_tasks:print_for_ever' wrote more than 64 MiB of messages, so it was "
        "stopped. Save the model without ops that print, such as tf.print."
    )
    assert "the same again\nthe same again" in (error.details or "")
    assert len(error.details or "") <= 200_000


def test_a_crash_is_one_sentence_and_where_it_was_is_kept(tmp_path: Path) -> None:
    error = error_of("worker_tasks:segfault", tmp_path)
    assert str(error) == (
        "the task 'worker_tasks:segfault' crashed (SIGSEGV). The model, or TensorFlow with it, "
        "does not run on this machine; --debug shows what it wrote."
    )
    assert "Fatal Python error: Segmentation fault" in (error.details or "")
    assert "in segfault" in (error.details or "")


def test_an_exit_is_one_sentence_and_the_last_words_are_kept(tmp_path: Path) -> None:
    error = error_of("worker_tasks:leave", tmp_path, {"code": 3})
    assert str(error) == (
        "the task 'worker_tasks:leave' failed with exit code 3. --debug shows what it wrote."
    )
    assert error.details == "the last words"


def test_a_task_that_the_system_kills_asks_for_memory(tmp_path: Path) -> None:
    """As Linux does where memory runs out."""
    (tmp_path / "killed.py").write_text(
        "import os, signal\ndef task(_):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        said = str(error_of("killed:task", tmp_path))
    assert said == (
        "the task 'killed:task' was ended by SIGKILL, as the system does where memory runs out. "
        "Free some memory, or choose a smaller model."
    )


def test_chatter_stays_off_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("worker_tasks:chatter", {}, tmp_path) == {"done": True}
    assert capfd.readouterr() == ("", "")


def test_what_a_task_says_is_the_sentence_and_the_chatter_is_kept(tmp_path: Path) -> None:
    error = error_of("worker_tasks:chatter", tmp_path, {"fails": True})
    assert str(error) == "the task says no."
    lines = (error.details or "").splitlines()
    assert lines[0] == "because it says so"
    assert {"printed", "printed to stderr", "written past Python"} <= set(lines)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    error = error_of("worker_tasks:import_missing", tmp_path)
    assert str(error) == (
        "the Python package 'no_such_package' is not installed. Install it with: pip install -r "
        "dbt_packages/tf_embeddings/requirements.txt"
    )
    assert "import_missing" in (error.details or "")


@pytest.mark.parametrize(
    ("package", "file"),
    [
        *[(light, "requirements.txt") for light in ("ai-edge-litert", "numpy", "tokenizers")],
        *[(light, "requirements.txt") for light in ("psutil", "rich", "ruamel", "sentencepiece")],
        *[(heavy, "requirements-staging.txt") for heavy in ("keras", "pkg_resources", "requests")],
        *[(heavy, "requirements-staging.txt") for heavy in ("safetensors", "tensorflow")],
        ("tensorflow_hub", "requirements-staging.txt"),
    ],
)
def test_what_only_making_an_artifact_needs_is_in_the_other_requirements(
    package: str, file: str
) -> None:
    assert str(missing_package(package)) == (
        f"the Python package '{package}' is not installed. Install it with: pip install -r "
        f"dbt_packages/tf_embeddings/{file}"
    )


@pytest.mark.parametrize(
    ("task", "request_", "limits", "kind"),
    [
        ("worker_tasks:segfault", {}, None, CrashedError),
        ("worker_tasks:hang", {}, Limits(seconds=0.1), StoppedError),
    ],
)
def test_a_crash_and_a_limit_are_told_apart(
    tmp_path: Path,
    task: str,
    request_: dict[str, Any],
    limits: Limits | None,
    kind: type[StagingError],
) -> None:
    """A model on which the converter crashes stays on TensorFlow; a limit is the machine's."""
    assert type(error_of(task, tmp_path, request_, limits)) is kind


def test_tensorflow_text_is_asked_for_in_the_release_of_tensorflow(tmp_path: Path) -> None:
    release = ".".join(importlib.metadata.version("tensorflow").split(".")[:2])
    assert str(error_of("worker_tasks:import_text", tmp_path)) == (
        "the Python package 'tensorflow_text' is not installed. Install it with: pip install "
        f"'tensorflow-text=={release}.*'"
    )


def test_an_error_of_tensorflow_is_one_sentence_and_the_long_text_is_kept(tmp_path: Path) -> None:
    error = error_of("worker_tasks:tensorflow_error", tmp_path)
    assert str(error) == (
        "the task 'worker_tasks:tensorflow_error' failed with InvalidArgumentError: Input to "
        "reshape is a tensor with 1 values, but the requested shape requires a multiple of 3. "
        "--debug shows all that it said."
    )
    assert "Traceback (most recent call last)" in (error.details or "")
    assert "{{node Reshape}}" in (error.details or "")


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        # As TensorFlow 2.21 says it.
        (
            "Graph execution error:\n\nDetected at node StringToNumber defined at (most recent "
            "call last):\n<stack traces unavailable>\nStringToNumberOp could not correctly convert "
            "string: test\n\t [[{{node StringToNumber}}]] [Op:__inference_signature_wrapper_f_98]",
            "StringToNumberOp could not correctly convert string: test.",
        ),
        (
            "{{function_node __wrapped____MklMatMul_device_/job:localhost/replica:0/task:0/device:"
            "CPU:0}} Matrix size-incompatible: In[0]: [2,3], In[1]: [2,3] [Op:MatMul] name: ",
            "Matrix size-incompatible: In[0]: [2,3], In[1]: [2,3].",
        ),
        (
            "2 root error(s) found.\n  (0) INVALID_ARGUMENT:  indices[0] = 7 is not in [0, 3)\n\t "
            "[[{{node Gather}}]]\n  (1) INVALID_ARGUMENT:  indices[0] = 7 is not in [0, 3)\n"
            "0 successful operations.\n0 derived errors ignored.",
            "indices[0] = 7 is not in [0, 3).",
        ),
        (
            "SavedModel file does not exist at: /home/user/models/use/{saved_model.pbtxt|"
            "saved_model.pb}",
            "SavedModel file does not exist at: {saved_model.pbtxt|saved_model.pb}.",
        ),
        (
            "Unsuccessful TensorSliceReader constructor: Failed to find any matching files for "
            "/tmp/work-1/variables/variables",
            "Unsuccessful TensorSliceReader constructor: Failed to find any matching files for "
            "variables.",
        ),
        (
            "could not fetch https://tfhub.dev/google/nnlm-en-dim50/2.",
            "could not fetch https://tfhub.dev/google/nnlm-en-dim50/2.",
        ),
        ("x" * 400, f"{'x' * 297}."),
    ],
)
def test_what_tensorflow_puts_around_a_sentence_is_left_out(message: str, sentence: str) -> None:
    assert in_one_sentence(RuntimeError(message)) == f"RuntimeError: {sentence}"


def test_an_error_without_a_message_is_its_type() -> None:
    assert in_one_sentence(MemoryError()) == "MemoryError."


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("536870912\n", 2**29),
        ("max\n", None),
        ("9223372036854771712\n", 9223372036854771712),
        ("-1\n", None),
        ("0\n", None),
        ("", None),
    ],
    ids=["bytes", "v2 without", "v1 without", "negative", "none at all", "empty"],
)
def test_the_memory_limit_of_a_cgroup_is_read(text: str, limit: int | None) -> None:
    assert memory.limit_in(text) == limit


def test_the_memory_limits_of_a_process_are_its_cgroups_and_those_around_it() -> None:
    assert files_of_limits("0::/system.slice/docker-1.scope\n") == [
        "system.slice/docker-1.scope/memory.max",
        "system.slice/memory.max",
        "memory.max",
    ]
    assert files_of_limits("0::/\n") == ["memory.max"]
    assert files_of_limits("0::/../../other\n") == ["memory.max"]
    assert files_of_limits("12:cpu,cpuacct:/a\n5:memory:/docker/1\n1:name=systemd:/b\n") == [
        "memory/docker/1/memory.limit_in_bytes",
        "memory/docker/memory.limit_in_bytes",
        "memory/memory.limit_in_bytes",
    ]


def files_of_limits(membership: str) -> list[str]:
    return [str(path) for path in memory.limit_files(membership, Path())]


def test_a_machine_has_memory_and_never_more_than_it_has() -> None:
    assert 0 < memory.machine_memory() <= psutil.virtual_memory().total


def test_the_next_run_clears_what_a_killed_one_left_and_nothing_of_one_that_runs(
    tmp_path: Path,
) -> None:
    code = (
        "import pathlib, sys\n"
        "from tf_embeddings_staging.cache import work_folder\n"
        "with work_folder(pathlib.Path(sys.argv[1])) as work:\n"
        "    (work / 'weights').write_bytes(bytes(1000))\n"
        "    print(work, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            env=python_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    killed, alive = (Path((run.stdout or sys.stdin).readline().strip()) for run in runs)
    runs[0].kill()
    runs[0].wait()
    assert (killed / "weights").is_file()
    two_days_ago = time.time() - 2 * 86400
    left = tmp_path / "work/left.part"
    left.touch()
    for one in (alive, left):
        os.utime(one, (two_days_ago, two_days_ago))
    with work_folder(tmp_path) as mine:
        assert sorted((tmp_path / "work").iterdir()) == sorted([alive, mine])
        assert (alive / "weights").is_file()
    runs[1].communicate("")
    assert not list((tmp_path / "work").iterdir())


def test_the_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the CLI no one is left to stop the model."""
    request = {"pid": str(tmp_path / "pid")}
    code = (
        "from pathlib import Path\nfrom tf_embeddings_staging.process import run\n"
        f"run('worker_tasks:hang', {request!r}, Path({str(tmp_path)!r}))\n"
    )
    environment = process.python_environment()
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as parent:
        worker = pid_in(tmp_path / "pid")
        assert psutil.pid_exists(worker)
        parent.kill()
    assert ended(worker)


def test_every_task_can_be_imported() -> None:
    """In a process of its own: it imports TensorFlow."""
    code = (
        "from tf_embeddings_staging.worker import TASKS, _function\n"
        "for task in TASKS: assert callable(_function(task)), task\n"
    )
    subprocess.run([sys.executable, "-c", code], env=process.python_environment(), check=True)


def test_every_task_has_a_name_for_people() -> None:
    assert set(TASKS) <= set(process._WHAT)


def probe(tmp_path: Path, code: str) -> StagingError:
    """Probe an artifact whose runtime is this code."""
    runtime = tmp_path / "artifact" / "tf_embeddings_udf"
    runtime.mkdir(parents=True)
    (runtime / "__init__.py").write_text(code)
    request = {"folder": str(runtime.parent), "texts": ["a"]}
    return error_of("probe", tmp_path, request)


def test_a_probe_that_raises_says_what_it_was(tmp_path: Path) -> None:
    error = probe(tmp_path, "raise ValueError('no kernel for this op')")
    assert str(error) == (
        "the probe, which embeds a few texts with the model, failed with ValueError: no kernel for "
        "this op. --debug shows all that it said."
    )
