"""A process that opens files one after the other, and says what came of each; see `tests/system/test_hostile.py`.

`python -m tests.hostile.runner` reads lines of JSON, {"how", "kind", "proof", "path", "seconds"}, and answers each by
one, {"end", "type", "text"}. HOME, TMPDIR and the working folder are the caller's private ones. `how` is

    job      as a person does without --trust: through `run_limited`, with all that it fences a child with
    bare     the same function in a child without any fence: what the reading of the file alone keeps out
    batch    that for many files in one child: {"how", "files": [[kind, path], ...], "seconds"}
    whole    the command a person types for it, conversion included
    prove    the plain library, trusting
"""

import contextlib
import io
import json
import multiprocessing
import os
import pickle
import sys
import traceback
import zipfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from converters import job
from converters.inspect import describe
from converters.load import Origin
from edge.errors import EdgeError

Answer = dict[str, str]


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        task = json.loads(line)
        answers.write(json.dumps(_answer(task)) + "\n")
        answers.flush()


def _answer(task: dict[str, Any]) -> Answer:
    if task["how"] == "batch":
        return _in_child(_batch, task["files"], task["seconds"])
    path = Path(task["path"])
    # A person opens a file where it lies, and `python -m` looks for modules there first.
    os.chdir(path.parent)
    sys.path[0] = str(path.parent)
    if task["how"] == "prove":
        return _in_child(_PROOFS[task["proof"]], path, task["seconds"])
    if task["how"] == "whole":
        return _guarded(lambda: _WHOLE[task["kind"]](path))
    if task["how"] == "bare":
        return _in_child(_OPEN[task["kind"]], path, task["seconds"])
    limits = job.Limits(task["seconds"], 3000)
    return _guarded(lambda: job.run_limited(_OPEN[task["kind"]], limits, path.name, path))


def _guarded(call: Callable[[], Any]) -> Answer:
    try:
        said = call()
    except EdgeError as error:
        return {"end": "refused", "type": type(error).__name__, "text": str(error)}
    except BaseException as error:  # noqa: BLE001 - what it is, the test says
        return {"end": "crashed", "type": type(error).__name__, "text": "".join(traceback.format_exception(error)[-8:])}
    if isinstance(said, list):
        said = "\n".join(part if isinstance(part, str) else json.dumps(part) for part in said)
    return {"end": "opened", "type": "", "text": str(said)}


def _in_child(function: Callable[[Any], Any], path: Any, seconds: float) -> Answer:
    """Call in a child of the same server that the converters' children come from."""
    context = job._context()
    here, there = multiprocessing.Pipe(duplex=False)
    child = context.Process(target=_child, args=(function, path, there), daemon=False)
    child.start()
    there.close()
    answer: Answer = {"end": "died", "type": "", "text": ""}
    try:
        answer = here.recv() if here.poll(seconds) else {"end": "hung", "type": "", "text": f"after {seconds} s"}
    except EOFError:
        child.join(5)
        answer["text"] = f"exit code {child.exitcode}"
    child.kill()
    child.join()
    return answer


def _child(function: Callable[[Any], Any], path: Any, there: Connection) -> None:
    held = os.open(os.devnull, os.O_WRONLY)
    os.dup2(held, 1)
    os.dup2(held, 2)
    there.send(_guarded(lambda: function(path)))
    os._exit(0)


def _batch(files: list[list[str]]) -> list[Answer]:
    """Open many files, one after the other; whoever gets something to run has this child for it, and no fence."""
    answers = []
    for kind, name in files:
        path = Path(name)
        os.chdir(path.parent)
        sys.path[0] = str(path.parent)
        answers.append(_guarded(lambda path=path, kind=kind: _OPEN[kind](path)))
    return answers


def _describe(path: Path) -> list[str]:
    return describe(Origin(str(path)))


def _torch(path: Path) -> str:
    from models.torchfile import read_state_dict

    return f"{len(read_state_dict(path))} tensors"


def _bundle(path: Path) -> str:
    """Install a zip, then open what was installed; open a folder."""
    from edge.bundle import install_bundle
    from edge.folders import data_folder
    from edge.model import open_model

    folder = install_bundle(path, data_folder()).path if path.is_file() else path
    with open_model(folder, None, 1) as model:
        return model.backend.description


def _data(path: Path) -> str:
    """Read an .npz as calibration data."""
    from converters.readers import read_arrays

    return str(sorted(read_arrays(path)))


_OPEN: dict[str, Callable[[Path], Any]] = {"model": _describe, "torch": _torch, "bundle": _bundle, "data": _data}


def _command(main: Callable[[list[str]], int], *arguments: str) -> str:
    words = io.StringIO()
    with contextlib.redirect_stderr(words), contextlib.redirect_stdout(words):
        code = main(list(arguments))
    if code:
        raise EdgeError(f"code {code}: {words.getvalue()}")
    return words.getvalue()


def _convert(path: Path) -> str:
    from converters.cli import main

    return _command(main, "convert", str(path), "--out", "bundles", "--variants", "fp32", "--time-limit", "100")


def _install(path: Path) -> str:
    from edge.cli import main_edge

    return _command(lambda words: main_edge(words), "bundle", "install" if path.is_file() else "verify", str(path))


_WHOLE: dict[str, Callable[[Path], Any]] = {"model": _convert, "torch": _torch, "bundle": _install, "data": _data}


def _prove_keras(path: Path, name: str = "keras") -> str:
    library = __import__(name)
    ended = {"keras": ".keras", "tf_keras": ".keras"}[name]
    if path.is_file() and path.suffix not in (".keras", ".h5"):
        link = Path(os.environ["TMPDIR"]) / f"{path.name}{ended}"
        link.symlink_to(path)
        path = link
    model = library.models.load_model(str(path), safe_mode=False, compile=True)
    return _ask(model)


def _prove_tf_keras(path: Path) -> str:
    return _prove_keras(path, "tf_keras")


def _ask(model: Any) -> str:
    import tensorflow as tf

    inputs = [tf.zeros([size or 1 for size in part.shape], part.dtype) for part in model.inputs]
    model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    return "answered"


def _prove_tensorflow(path: Path) -> str:
    import tensorflow as tf

    module = tf.saved_model.load(str(path.parent if path.is_file() else path))
    signature = next(iter(module.signatures.values()))
    named = signature.structured_input_signature[1]
    signature(**{name: tf.zeros([size or 1 for size in spec.shape], spec.dtype) for name, spec in named.items()})
    return "answered"


def _prove_pickle(path: Path) -> str:
    class Careless(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            return pid

    data = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else None
    if data is not None:
        name = next(name for name in data.namelist() if name.endswith("data.pkl"))
        return str(Careless(io.BytesIO(data.read(name))).load())
    with path.open("rb") as file:
        for _ in range(5):
            Careless(file).load()
    return "loaded"


def _prove_arrays(path: Path) -> str:
    import numpy as np

    if path.suffix != ".npz":
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("golden.npz"))
            held: Any = np.load(io.BytesIO(archive.read(name)), allow_pickle=True)
    else:
        held = np.load(path, allow_pickle=True)
    return str([np.asarray(held[name]).shape for name in held.files])


def _prove_hdf5(path: Path) -> str:
    import h5py

    source: Any = path
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            source = io.BytesIO(archive.read("model.weights.h5"))
    read = []
    with h5py.File(source, "r") as file:
        names: list[str] = []
        file.visit(names.append)
        todo: list[Any] = [file]
        while todo:
            part = todo.pop()
            for name in part:
                held = part[name]
                if isinstance(held, h5py.Dataset):
                    read.append(bytes(held[()].tobytes()))
                else:
                    todo.append(held)
    return str(read)


def _prove_extract(path: Path) -> str:
    """Unpack as a careless program does: each name as it stands."""
    folder = Path(os.environ["TMPDIR"]) / "careless"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            place = folder / member.filename
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(archive.read(member).decode())
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if not member.is_dir():
                place.write_bytes(archive.read(member))
    return "unpacked"


def _prove_nothing(path: Path) -> str:
    return "no careless opener does more with it"


_PROOFS: dict[str, Callable[[Path], Any]] = {
    "": _prove_nothing,
    "keras": _prove_keras,
    "tf_keras": _prove_tf_keras,
    "tensorflow": _prove_tensorflow,
    "pickle": _prove_pickle,
    "arrays": _prove_arrays,
    "hdf5": _prove_hdf5,
    "extract": _prove_extract,
}

if __name__ == "__main__":
    main()
