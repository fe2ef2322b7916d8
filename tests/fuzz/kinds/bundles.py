"""Bundles of all runtimes: manifest, stored answer, files and zips changed, hashes wrong or right again."""

import shutil
from pathlib import Path
from random import Random

from edge.bundle import GOLDEN_FILE, MANIFEST_FILE
from tests.fuzz import originals as made
from tests.fuzz.archives import member, mutate_npz, mutate_zip, write_zip
from tests.fuzz.case import Attempt
from tests.fuzz.mutate import dump_tree, file_name, mutate_bytes, mutate_text, mutate_tree, parse_tree
from tests.fuzz.odd import SHARE, replace_by_odd
from tests.fuzz.reseal import reseal

FORKED = True
_BUNDLES = [
    *(f"fake-{task}" for task in made.FAKE),
    *(f"tflite-{task}" for task in made.TFLITE),
    *(f"onnx-{task}" for task in made.ONNX),
]
_SHARES = {"verify": 5, "use": 5, "install": 4, "show": 1, "list": 1}
FORMS = {f"{command} {bundle}": share for command, share in _SHARES.items() for bundle in _BUNDLES}

_SEALED = 0.8
"""Part of the changed bundles whose hashes are right again."""


def whole(form: str, originals: Path, folder: Path) -> Attempt:
    """Put a whole bundle into a folder."""
    command, name = form.split(" ")
    if command == "install":
        shutil.copy(originals / "bundles" / f"{name}.zip", folder)
    else:
        shutil.copytree(originals / "bundles" / name, _place(folder, name))
    return attempt_of(form, originals, folder)


def mutated(form: str, originals: Path, folder: Path, random: Random) -> Attempt:
    """Change a bundle, or its zip."""
    command, name = form.split(" ")
    if command == "install":
        words = _mutated_zip(originals / "bundles" / name, folder, random)
    else:
        place = _place(folder, name)
        shutil.copytree(originals / "bundles" / name, place)
        words = mutate_bundle(place, random)
    attempt = attempt_of(form, originals, folder)
    return Attempt(form, attempt.entry, attempt.arguments, words, attempt.writes)


def _place(folder: Path, name: str) -> Path:
    return folder / "build" / "bundles" / name


def attempt_of(form: str, originals: Path, folder: Path) -> Attempt:
    """Return the command that takes the bundle in a folder."""
    command, name = form.split(" ")
    place = str(_place(folder, name))
    if command == "install":
        path = next(iter(folder.glob("*.zip")), folder / f"{name}.zip")
        return Attempt(
            form, "edge", ("bundle", "install", str(path)), writes=r"home/data/edge-run/bundles/[^/.]+/[^/]+"
        )
    if command == "list":
        return Attempt(form, "edge", ("bundle", "list"))
    if command in ("verify", "show"):
        return Attempt(form, "edge", ("bundle", command, place))
    return _use(form, place, originals)


def _use(form: str, place: str, originals: Path) -> Attempt:
    """Run the bundle on a film."""
    task = form.rpartition("-")[2]
    film, bundles = str(originals / "films" / "whole.avi"), originals / "bundles"
    if task in ("classify", "localize"):
        return Attempt(form, "edge", (task, film, "--bundle", place))
    flags = {"detect": "--detector", "embed": "--embedder", "pair": "--matcher"}
    looks = {"--detector": f"{bundles}/fake-detect", "--embedder": f"{bundles}/fake-embed", flags[task]: place}
    words = [word for pair in looks.items() for word in pair]
    return Attempt(form, "edge-run", ("--source", film, "--sink", "null:", *words))


def mutate_bundle(folder: Path, random: Random) -> str:
    """Change one thing of a bundle's folder, and make its hashes right again or not."""
    what = random.choices(("manifest", "golden", "files", "text", "bytes"), (10, 7, 2, 1, 1))[0]
    sealed = random.random() < _SEALED
    manifest, golden = folder / MANIFEST_FILE, folder / GOLDEN_FILE
    if what == "manifest":
        words = _mutate_manifest(folder, random)
    elif what == "text":
        words, text = "text of the manifest", mutate_text(manifest.read_text(), random)
        manifest.write_bytes(text.encode("utf-8", "surrogatepass"))
    elif what == "golden":
        data, words = mutate_npz(golden.read_bytes(), random)
        golden.write_bytes(data)
    elif what == "bytes":
        file = random.choice(sorted(folder.iterdir()))
        data, words = mutate_bytes(file.read_bytes(), random)
        file.write_bytes(data)
        words = f"{file.name}: {words}"
    else:
        words = _mutate_files(folder, random)
    if sealed:
        reseal(folder)
    return f"{'sealed, ' if sealed else ''}{what}: {words}"


def _mutate_manifest(folder: Path, random: Random) -> str:
    path = folder / MANIFEST_FILE
    tree = parse_tree(path.read_bytes())
    said = [mutate_tree(tree, random) for _ in range(random.choice((1, 1, 2)))]
    path.write_bytes(dump_tree(tree).encode("utf-8", "surrogatepass"))
    return ", ".join(said)


def _mutate_files(folder: Path, random: Random) -> str:
    """Take a file away, add one, exchange two, or put something else in the place of one."""
    files = sorted(folder.iterdir())
    file = random.choice(files)
    what = random.choice(("odd", "odd", "exchanged", "added", "folder", "link"))
    if what == "odd" or random.random() < SHARE:
        return replace_by_odd(file, random)
    if what == "exchanged":
        other = random.choice(files)
        data, theirs = file.read_bytes(), other.read_bytes()
        file.write_bytes(theirs)
        other.write_bytes(data)
        return f"{file.name} and {other.name} exchanged"
    if what == "link":
        file.unlink()
        file.symlink_to("/etc/passwd")
        return f"{file.name} is a link to another file"
    name = file_name(random)
    new = folder / (name if name not in ("", ".", "..") else "more")
    if what == "folder":
        new.unlink(missing_ok=True)  # the name of a file of the bundle is one of the odd names
        new.mkdir()
    else:
        new.write_bytes(random.randbytes(random.choice((0, 50, 5000))))
    return f"{ascii(name)[:40]} {what}"


def _mutated_zip(original: Path, folder: Path, random: Random) -> str:
    """Write the zip of a changed bundle, or a changed zip of a whole one."""
    name = original.name
    if random.random() < 0.6:
        path = folder / f"{name}.zip"
        data, words = mutate_zip(original.with_name(path.name).read_bytes(), random)
        path.write_bytes(data)
        return replace_by_odd(path, random) if random.random() < SHARE else words
    place = folder / name
    shutil.copytree(original, place)
    words = mutate_bundle(place, random)
    members = [
        member(f"{name}/{file.name}", file.read_bytes())
        for file in sorted(place.iterdir())
        if file.is_file() and not file.is_symlink()
    ]
    shutil.rmtree(place)
    (folder / f"{name}.zip").write_bytes(write_zip(members))
    return words
