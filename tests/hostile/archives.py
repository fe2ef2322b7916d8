"""Hostile containers: zips and HDF5 files whose own structure leads somewhere else."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.hostile import keras2, keras3
from tests.hostile.bait import Bait
from tests.hostile.case import hostile, put
from tests.hostile.layouts import KERAS_2, KERAS_3, Config, hdf5, keras_zip, layer, sequential, weights_hdf5

_LAST = "the last of two counts, and that is harmless"
_PYTHON = "Python's zip reader does not follow it"


def _harmless() -> Config:
    return sequential(layer("Activation", activation="relu"))


def _members(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes | str]) -> Path:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it says that a name is there twice
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members:
                archive.writestr(name, data)
    return path


_METADATA = json.dumps({"keras_version": KERAS_3})


def _twice(hostile_last: bool) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        both = [json.dumps(_harmless()), json.dumps(sequential(keras3.evil(bait)))]
        first, last = both if hostile_last else both[::-1]
        return _members(
            folder / "model.keras", ("metadata.json", _METADATA), ("config.json", first), ("config.json", last),
            ("model.weights.h5", weights_hdf5()),
        )  # fmt: skip

    return make


put("zip-config-twice", _twice(True))
put("zip-config-twice-reversed", _twice(False), dud=_LAST)


def _beside(name: str) -> Callable[[Path, Bait], Path]:
    """A hostile config.json under another name, beside a harmless one."""

    def make(folder: Path, bait: Bait) -> Path:
        return keras_zip(
            folder / "model.keras", _harmless(), more={name: json.dumps(sequential(keras3.evil(bait))).encode()}
        )

    return make


for _name, _other in {
    "case": "CONFIG.JSON", "slash": "./config.json", "absolute": "/config.json", "backslash": ".\\config.json",
    "space": "config.json ", "nul": "config.json\0x", "folder": "config.json/config.json",
    "full-width": "\uff43onfig.json",
}.items():  # fmt: skip
    put(f"zip-other-{_name}", _beside(_other), dud="" if _name == "nul" else _PYTHON)


def _outside(name: str) -> Callable[[Path, Bait], Path]:
    """A member that a careless program writes outside."""

    def make(folder: Path, bait: Bait) -> Path:
        place = name.replace("CANARY", bait.canary).replace("UP", "../" * 20 + bait.canary.lstrip("/"))
        return keras_zip(folder / "model.keras", _harmless(), more={place: b"x", "assets/a/b": b"x"})

    return make


put("zip-member-up", _outside("UP"), proof="extract")
put("zip-member-absolute", _outside("CANARY"), proof="extract")
put("zip-member-in-assets", _outside("assets/UP"), proof="extract")


@hostile("zip-link", proof="extract")
def _link(folder: Path, bait: Bait) -> Path:
    """A link to a folder outside, and a member that is written through it."""
    link = zipfile.ZipInfo("assets/way")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    path = keras_zip(folder / "model.keras", _harmless())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(bait.folder))
        archive.writestr("assets/way/canary", "x")
    return path


@hostile("zip-link-weights", proof="extract", dud="the link alone is made")
def _link_weights(folder: Path, bait: Bait) -> Path:
    """Weights that are a link to a file of this machine."""
    link = zipfile.ZipInfo("model.weights.h5")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    return _members(
        folder / "model.keras", ("metadata.json", _METADATA), ("config.json", json.dumps(_harmless())),
        (link, bait.secret),
    )  # fmt: skip


@hostile("zip-local-header", dud=_PYTHON)
def _local_header(folder: Path, bait: Bait) -> Path:
    """The header before a member names another than the list at the end."""
    path = keras_zip(folder / "model.keras", sequential(keras3.evil(bait)))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"config.json", b"secret.json", 1))
    return path


@hostile("zip-prefix")
def _prefix(folder: Path, bait: Bait) -> Path:
    """A harmless zip with a hostile one behind it: the last list of members counts."""
    first = keras_zip(folder / "first.keras", _harmless())
    second = keras_zip(folder / "second.keras", sequential(keras3.evil(bait)))
    path = folder / "model.keras"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    first.unlink()
    second.unlink()
    return path


def _comment(comment: bytes) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        path = keras_zip(folder / "model.keras", sequential(keras3.evil(bait)))
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = comment
        return path

    return make


put("zip-comment", _comment(b"x" * 60_000))
put("zip-comment-like-an-end", _comment(b"PK\x05\x06" + b"x" * 60_000), dud=_PYTHON)


@hostile("zip-encrypted", dud="nobody has the password")
def _encrypted(folder: Path, bait: Bait) -> Path:
    path = keras_zip(folder / "model.keras", sequential(keras3.evil(bait)))
    data = bytearray(path.read_bytes())
    for start in (b"PK\x03\x04", b"PK\x01\x02"):
        place = data.find(start)
        while place >= 0:
            data[place + (6 if start[2] == 3 else 8)] |= 1
            place = data.find(start, place + 4)
    path.write_bytes(data)
    return path


def _polyglot(ending: str, hostile_part: str) -> Callable[[Path, Bait], Path]:
    """An HDF5 file with a zip behind it: both kinds of reader find what they look for."""

    def make(folder: Path, bait: Bait) -> Path:
        evil, harmless = sequential(keras2.evil(bait), old=True), sequential(layer("ReLU"), old=True)
        in_zip, in_hdf5 = (evil, harmless) if hostile_part == "zip" else (harmless, evil)
        zipped = keras_zip(folder / "zip.keras", in_zip, KERAS_2).read_bytes()
        front = hdf5(folder / "front.h5", in_hdf5).read_bytes()
        path = folder / f"model{ending}"
        path.write_bytes(front + zipped)
        for left in ("zip.keras", "front.h5"):
            (folder / left).unlink()
        return path

    return make


put("both-h5-zip-hostile", _polyglot(".keras", "zip"), proof="tf_keras")
put("both-h5-hdf5-hostile", _polyglot(".h5", "hdf5"), proof="tf_keras")
put("both-h5-zip-in-h5", _polyglot(".h5", "zip"), proof="tf_keras", dud="with this name the harmless half counts")
put(
    "both-h5-hdf5-in-keras",
    _polyglot(".keras", "hdf5"),
    proof="tf_keras",
    dud="with this name the harmless half counts",
)


@hostile("both-zip-before-hdf5", proof="tf_keras")
def _user_block(folder: Path, bait: Bait) -> Path:
    """A zip in the block that HDF5 leaves to others at the start of its files."""
    import h5py

    zipped = keras_zip(folder / "zip.keras", sequential(layer("ReLU"), old=True), KERAS_2, b"").read_bytes()
    path = hdf5(folder / "inner.h5", sequential(keras2.evil(bait), old=True))
    size = 512
    while size < len(zipped):
        size *= 2
    made = folder / "model.h5"
    with h5py.File(made, "w", userblock_size=size) as to, h5py.File(path) as origin:
        for name in origin:
            origin.copy(name, to)
        for key, value in origin.attrs.items():
            to.attrs[key] = value
    with made.open("r+b") as file:
        file.write(zipped)
    for left in ("zip.keras", "inner.h5"):
        (folder / left).unlink()
    return made


def _weights(write: Callable[[object, Bait, Path], None], old: bool) -> Callable[[Path, Bait], Path]:
    """A harmless model whose weights lie elsewhere on this machine."""

    def make(folder: Path, bait: Bait) -> Path:
        import h5py

        dense = layer("Dense", units=2, called="dense")
        if old:
            path = hdf5(folder / "model.h5", sequential(dense, old=True))
            with h5py.File(path, "r+") as file:
                group = file["model_weights"]
                group.attrs["layer_names"] = ["dense"]
                inside = group.create_group("dense")
                inside.attrs["weight_names"] = ["kernel", "bias"]
                write(inside, bait, folder)
            return path
        held = io.BytesIO(weights_hdf5({"layers/dense": [(4, 2), (2,)]}))
        with h5py.File(held, "r+") as file:
            inside = file["layers/dense/vars"]
            del inside["0"], inside["1"]
            write(inside, bait, folder)
        return keras_zip(folder / "model.keras", sequential(dense), weights=held.getvalue())

    return make


def _names(group: object) -> tuple[str, str]:
    return ("kernel", "bias") if "model_weights" in group.name else ("0", "1")  # type: ignore[attr-defined]


def _external_link(group: object, bait: Bait, folder: Path) -> None:
    import h5py

    for name in _names(group):
        group[name] = h5py.ExternalLink(bait.secret, "/x")  # type: ignore[index]


def _link_through(group: object, bait: Bait, folder: Path) -> None:
    """A link inside the file whose way leads through a link to another."""
    import h5py

    kernel, bias = _names(group)
    group["zz_far"] = h5py.ExternalLink(bait.secret, "/")  # type: ignore[index]
    way = f"{group.name}/zz_far/x"  # type: ignore[attr-defined]
    group[kernel] = h5py.SoftLink(way)  # type: ignore[index]
    group[bias] = h5py.SoftLink(way)  # type: ignore[index]


def _external_storage(group: object, bait: Bait, folder: Path) -> None:
    for name, shape in zip(_names(group), ((4, 2), (2,)), strict=True):
        group.create_dataset(name, shape, "float32", external=[(bait.secret, 0, 32)])  # type: ignore[attr-defined]


def _virtual(group: object, bait: Bait, folder: Path) -> None:
    import h5py

    for name, shape in zip(_names(group), ((4, 2), (2,)), strict=True):
        layout = h5py.VirtualLayout(shape, "float32")
        layout[:] = h5py.VirtualSource(bait.secret, "x", shape, "float32")
        group.create_virtual_dataset(name, layout)  # type: ignore[attr-defined]


def _other_model(group: object, bait: Bait, folder: Path) -> None:
    """A link to a true HDF5 file, which holds what is wanted."""
    import h5py

    with h5py.File(bait.folder / "true.h5", "w") as file:
        file["k"], file["b"] = [[1.0] * 2] * 4, [1.0] * 2
    for name, there in zip(_names(group), "kb", strict=True):
        group[name] = h5py.ExternalLink(str(bait.folder / "true.h5"), f"/{there}")  # type: ignore[index]


for _name, _write in {
    "external-link": _external_link, "link-through": _link_through, "external-storage": _external_storage,
    "virtual": _virtual,
}.items():  # fmt: skip
    put(f"h5-{_name}", _weights(_write, True), proof="hdf5")
    _dud = "" if _name == "external-storage" else "in memory h5py opens no other file"
    put(f"h5-{_name}-in-zip", _weights(_write, False), proof="hdf5", dud=_dud)


@hostile("h5-config-elsewhere", proof="hdf5", dud="attributes of a group do not come through a link of its parts")
def _config_elsewhere(folder: Path, bait: Bait) -> Path:
    import h5py

    path = hdf5(folder / "model.h5", sequential(layer("ReLU"), old=True))
    with h5py.File(path, "r+") as file:
        del file["model_weights"]
        file["model_weights"] = h5py.SoftLink("/elsewhere/weights")
        file["zelsewhere"] = h5py.ExternalLink(bait.secret, "/")
    return path


def _npz(payload: bytes) -> bytes:
    """Return an .npz file with an array of one object."""
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += " " * (64 - (len(header) + 11) % 64) + "\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + payload
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.npy", array)
    return held.getvalue()


def object_npz(bait: Bait) -> bytes:
    """Return an .npz file whose array is a pickle that runs the command."""
    return _npz(f"cposix\nsystem\n(S{bait.command!r}\ntR.".encode())


def _npz_weights(version: str) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        path = folder / "model.keras"
        old = version == KERAS_2
        dense = sequential(layer("Dense", units=2, called="dense"), old=old)
        return _members(
            path, ("metadata.json", json.dumps({"keras_version": version})), ("config.json", json.dumps(dense)),
            ("model.weights.npz", object_npz(bait)),
        )  # fmt: skip

    return make


put("zip-npz-weights-3", _npz_weights(KERAS_3), dud="Keras reads no objects there")
put("zip-npz-weights-2", _npz_weights(KERAS_2), proof="tf_keras", dud="Keras reads no objects there")


@hostile("zip-shards", dud="no shard lies outside, whatever its name")
def _shards(folder: Path, bait: Bait) -> Path:
    """Weights in pieces, of which one is a file of this machine."""
    shards = {"metadata": {}, "weight_map": {"/layers/dense/vars": "../" * 20 + bait.secret.lstrip("/")}}
    return _members(
        folder / "model.keras", ("metadata.json", _METADATA),
        ("config.json", json.dumps(sequential(layer("Dense", units=2, called="dense")))),
        ("model.weights.json", json.dumps(shards)),
    )  # fmt: skip


def _data(payload: Callable[[Bait], bytes]) -> Callable[[Path, Bait], Path]:
    def make(folder: Path, bait: Bait) -> Path:
        path = folder / "calibration.npz"
        path.write_bytes(payload(bait))
        return path

    return make


def _two_arrays(bait: Bait) -> bytes:
    import numpy as np

    held = io.BytesIO()
    np.savez(held, good=np.ones(3))
    with zipfile.ZipFile(held, "a") as to, zipfile.ZipFile(io.BytesIO(object_npz(bait))) as origin:
        to.writestr("bad.npy", origin.read("a.npy"))
    return held.getvalue()


def _bare_pickle(bait: Bait) -> bytes:
    return f"cposix\nsystem\n(S{bait.command!r}\ntR.".encode()


def _header_code(bait: Bait) -> bytes:
    """A header that is an expression and no literal."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').system({bait.command!r}),), }}"
    header += " " * 30 + "\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"\0" * 4
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.npy", array)
    return held.getvalue()


put("data-objects", _data(object_npz), "data", "arrays")
put("data-objects-second", _data(_two_arrays), "data", "arrays")
put("data-bare-pickle", _data(_bare_pickle), "data", "arrays")
put("data-header-code", _data(_header_code), "data", "arrays", "numpy reads literals alone")
