"""Jobs behind their walls: TensorFlow, the converters and the runtimes work there, and what goes wrong is explained."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")

from converters import job, sandbox
from converters.handback import pack
from converters.job import Limits, run_limited, tell, walled
from converters.load import ConversionError, Origin, load_model
from converters.sandbox import memory_for
from edge.errors import ConfigError, SourceError
from edge.types import F32

LIMITS = Limits(120, 3000)


ROOT = Path(__file__).parents[2]


SILENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "ORT_DISABLE_TELEMETRY": "1"}
"""This module imports TensorFlow and ONNX Runtime, which say hello on standard error and in TMPDIR."""


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child find this module by its name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def write(path: Path) -> str:
    path.write_text("x")
    return path.read_text()


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 2).close()


def what_is_open() -> tuple[int, list[str]]:
    """Count threads, and tell where the open files beyond the first three lead."""
    files = {path.name: path for path in Path("/proc/self/fd").iterdir()}
    kinds = [str(files[name].readlink()).partition(":")[0] for name in files if int(name) > 2 and files[name].exists()]
    return len(list(Path("/proc/self/task").iterdir())), kinds


def raise_source_error() -> None:
    raise SourceError("film: want a frame, got \x1b[31mred")


def raise_unforeseen() -> None:
    raise ZeroDivisionError("by zero")


def returns_a_function() -> object:
    return print


def returns_a_stranger() -> str:
    os.write(job._parent or 0, job._HEAD.pack(b"returned", 2) + b"\x81\xa1")
    os._exit(0)


def half_a_message() -> None:
    os.write(job._parent or 0, job._HEAD.pack(b"returned", 1000))
    time.sleep(60)


def endless_message() -> None:
    os.write(job._parent or 0, job._HEAD.pack(b"returned", 1 << 40))
    time.sleep(60)


def strange_message() -> None:
    data = pack(1)
    os.write(job._parent or 0, job._HEAD.pack(b"run", len(data)) + data)
    time.sleep(60)


def leave_link(folder: Path) -> None:
    (folder / "model").symlink_to("/etc/passwd")


def take_memory(stored: int) -> int:
    with memory_for(stored):
        return int(np.empty(1 << 28).size)


def die_opening() -> None:
    with memory_for(0):
        os.abort()


def print_and_die() -> None:
    print("/some/where/else: \x1b[31mtoo bad", file=sys.stderr, flush=True)
    os._exit(5)


def large_answer() -> list[F32]:
    tell(1, 2, "\x1bworking")
    return [np.arange(2_000_000, dtype=np.float32)]


def convert_all(model: Path, folder: Path) -> list[float]:
    """Open a file, trace it, pack it both ways, and run both files with two threads."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    from converters.recipe import Settings
    from converters.to_onnx import to_onnx
    from converters.to_tflite import to_tflite
    from converters.trace import Input, reference, trace

    with memory_for(model.stat().st_size if model.is_file() else 1_000_000):
        loaded = load_model(Origin(str(model)))
    traced, _ = trace(loaded, Input())
    traced.save(folder)
    samples = [[np.full(spec.shape, 40 * n, spec.dtype) for spec in traced.inputs] for n in range(4)]
    to_tflite(traced, "int8", samples, Settings())
    wanted = reference(loaded, traced, samples[3])[0]
    packed = Interpreter(model_content=to_tflite(traced, "fp32"), num_threads=2)
    got = packed.get_signature_runner("serving_default")(**{traced.inputs[0].name: samples[3][0]})
    session = onnxruntime.InferenceSession(to_onnx(traced), providers=["CPUExecutionProvider"])
    other = session.run([traced.outputs[0].name], {traced.inputs[0].name: samples[3][0]})[0]
    return [float(np.abs(answer - wanted).max()) for answer in (got[traced.outputs[0].name], other)]


def test_a_job_writes_into_its_folders_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    limits = replace(LIMITS, writable=(tmp_path / "bench",))
    assert run_limited(write, limits, "job", tmp_path / "bench" / "file") == "x"
    with pytest.raises(ConversionError, match="PermissionError"):
        run_limited(write, limits, "job", tmp_path / "file")
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ConversionError, match="PermissionError"):
        run_limited(connect, LIMITS, "job", server.getsockname()[1])
    assert run_limited(write, replace(LIMITS, walls=False), "job", tmp_path / "file") == "x"
    assert run_limited(what_is_open, LIMITS, "job") == (1, ["pipe"])


def test_a_function_of_a_persons_own_runs_outside(tmp_path: Path) -> None:
    (tmp_path / "m.keras").touch()
    assert walled(Origin(str(tmp_path / "m.keras"), trust=True, imports=(tmp_path / "own.py",)))
    assert not walled(Origin("models.embedder:mobilenet_v2"))


def test_walls_that_cannot_be_had_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sandbox, "WAYS", ())
    job._warn.cache_clear()
    for name in ("one", "two"):
        assert run_limited(write, LIMITS, "job", tmp_path / name) == "x"
    assert capsys.readouterr().err.count("this machine cannot wall off the disk") == 1


def test_errors_keep_their_class_and_lose_what_steers_a_terminal() -> None:
    with pytest.raises(SourceError, match=r"want a frame, got .*\[31mred") as caught:
        run_limited(raise_source_error, LIMITS, "job")
    assert "\x1b" not in str(caught.value)
    with pytest.raises(ConversionError, match="unforeseen ZeroDivisionError: by zero"):
        run_limited(raise_unforeseen, LIMITS, "job")
    with pytest.raises(ConversionError, match="TypeError: builtin_function_or_method cannot be handed back"):
        run_limited(returns_a_function, LIMITS, "job")
    assert type(job._error("os", "system", "x")) is ConversionError
    assert type(job._error("edge.errors", "ConfigError", "x")) is ConfigError


def test_what_a_job_sends_is_read_as_data() -> None:
    assert run_limited(large_answer, LIMITS, "job")[0].sum() == np.arange(2_000_000, dtype=np.float32).sum()
    for function in (returns_a_stranger, endless_message, strange_message):
        with pytest.raises(ConversionError, match=r"a job's answer: .*do not use it"):
            run_limited(function, LIMITS, "job")
    with pytest.raises(ConversionError, match="want an end within 1 s"):
        run_limited(half_a_message, Limits(1, 3000), "job")


def test_a_link_that_a_job_left_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="'model'"):
        run_limited(leave_link, replace(LIMITS, writable=(tmp_path,)), "job", tmp_path)


def test_memory_for_a_file_and_how_a_job_ended() -> None:
    with pytest.raises(ConversionError, match="want at most 800 MB of memory"):
        run_limited(take_memory, LIMITS, "job", 0)
    assert run_limited(take_memory, LIMITS, "job", 200_000_000) == 1 << 28
    with pytest.raises(ConversionError, match="want at most 800 MB of memory"):
        run_limited(die_opening, LIMITS, "job")
    with pytest.raises(ConversionError, match=r"ended with code 5 .*its log ends: else: \S*\[31mtoo bad"):
        run_limited(print_and_die, LIMITS, "job")


def test_no_folder_of_a_job_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / ".edge-staging-killed"
    (left / "new").mkdir(parents=True)
    (left / "lock").touch()
    job._sweep.cache_clear()
    run_limited(what_is_open, LIMITS, "job")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_command_leaves_nothing_after_the_next_one() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _kill_a_command(Path(folder))


def test_a_temporary_folder_of_a_long_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    job._place_sockets.__wrapped__()
    assert tempfile.tempdir == str(long)
    assert list(long.iterdir()) == []


def _kill_a_command(folder: Path) -> None:
    code = """
import os, signal, sys
from converters.job import DEFAULT_LIMITS, run_limited
from tests.system.test_job import what_is_open
run_limited(what_is_open, DEFAULT_LIMITS, "job")
if sys.argv[1:]:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, **SILENT, "TMPDIR": str(folder)}
    for words, code_wanted in ((["kill"], -signal.SIGKILL), ([], 0)):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code_wanted, done.stderr
        assert bool(list(folder.iterdir())) == bool(words)
    assert done.stderr == ""


@pytest.mark.parametrize("way", sandbox.WAYS)
@pytest.mark.parametrize("kind", ["keras", "h5", "savedmodel"])
def test_honest_models_are_converted_behind_the_walls(
    kind: str, way: sandbox.Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(3, name="out")(keras.layers.GlobalAveragePooling2D()(x)))
    path = tmp_path / f"m.{kind}"
    model.export(str(path), verbose=False) if kind == "savedmodel" else model.save(path)
    (tmp_path / "bench").mkdir()
    monkeypatch.setattr(sandbox, "WAYS", (way,))
    errors = run_limited(convert_all, replace(LIMITS, writable=(tmp_path / "bench",)), "job", path, tmp_path / "bench")
    assert max(errors) < 1e-4
