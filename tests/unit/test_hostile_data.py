"""Data of a person, and places for results: nothing is waited for, unfolded or followed without a limit."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from converters.examples import Sight, frame_count, read_arrays, read_sight
from edge import limits
from edge.config import read_config
from edge.errors import ConfigError, OutputError
from edge.sinks import open_sink
from edge.sinks.crops import INDEX_FILE, Crop
from models.data.composites import _read as read_photograph
from models.data.localized import read_located
from models.data.voc import read_voc
from models.siamese.crops import read_index
from models.siamese.truth import identify
from models.workflow.data import read_examples
from tests.output import an_output

READERS: dict[str, Callable[[Path], object]] = {
    "a.npz": read_arrays,
    "b.npz": lambda path: read_examples(str(path), "multilabel", 16),
    "a.csv": lambda path: read_examples(str(path), "multilabel", 16),
    "b.csv": lambda path: read_located(path, ()),
    "gt.txt": lambda path: identify([], path),
    "a.xml": read_voc,
    "a.jpg": read_photograph,
    "b.jpg": lambda path: read_sight(Sight(path)),
    "a.mp4": frame_count,
    "a.toml": read_config,
    INDEX_FILE: lambda path: read_index(path.parent),
}


@pytest.mark.parametrize("name", READERS)
def test_a_fifo_never_blocks(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match=r"got a fifo|want a folder, a .csv or an .npz file"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", ["a.npz", "b.npz"])
def test_an_npz_of_zeros_is_refused(tmp_path, name, monkeypatch):
    monkeypatch.setattr(limits, "FREE_BYTES", 1_000_000)
    np.savez_compressed(tmp_path / name, x=np.zeros((1, 1_000_000), np.uint8), y=np.zeros((1, 1)))
    with pytest.raises(ConfigError, match="unfold"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv", "b.csv", "gt.txt"])
def test_tables_are_limited(tmp_path, name, monkeypatch):
    (tmp_path / name).write_text("1,2,3,4,5,6,7\n")
    monkeypatch.setattr(limits, "MOST_TABLE_BYTES", 13)
    with pytest.raises(ConfigError, match="want at most 13 bytes"):
        READERS[name](tmp_path / name)


def test_an_annotation_cannot_grow_by_its_entities(tmp_path):
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    (tmp_path / "a.xml").write_text(f'<!DOCTYPE x [<!ENTITY a0 "x">{bomb}]><annotation>&a11;</annotation>')
    with pytest.raises(ConfigError, match="Pascal VOC"):
        read_voc(tmp_path / "a.xml")
    (tmp_path / "a.xml").write_text(f"<annotation>{' ' * 1_000_000}</annotation>")
    with pytest.raises(ConfigError, match=r"at most 1.0 MB"):
        read_voc(tmp_path / "a.xml")


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "a\x1b.png", ".a.png", "x/../../a.png"])
def test_a_recording_names_files_of_its_own(tmp_path, name):
    figures = {"score": 1, "sharpness": 1, "covered": 0}
    crop = Crop(file="00/1.png", frame=0, t_ms=0, track=1, klass="x", box=(0, 0, 1, 1), cut=False, **figures)
    (tmp_path / INDEX_FILE).write_bytes(msgspec.json.encode(crop) + b"\n")
    assert read_index(tmp_path) == [crop]
    named = msgspec.structs.replace(crop, file=name)
    (tmp_path / INDEX_FILE).write_bytes(msgspec.json.encode(named) + b"\n")
    with pytest.raises(ConfigError, match="want a file name"):
        read_index(tmp_path)


def test_a_film_that_is_none_is_not_an_example(tmp_path):
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile other.avi\n")
    with pytest.raises(ConfigError, match="got another file"):
        frame_count(tmp_path / "a.mp4")


def test_a_photograph_is_read_as_opencv_reads_it(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert np.array_equal(read_photograph(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("kind", ["jsonl:a.jsonl", "video:a.mp4", "png:a.png"])
def test_a_sink_does_not_wait_for_the_reader_of_a_fifo(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(kind.partition(":")[2])
    with pytest.raises((ConfigError, OutputError), match=r"got a fifo|got 'No such device or address'"):
        open_sink(kind, an_output())


def test_json_lines_still_go_to_a_fifo_that_is_read(tmp_path):
    os.mkfifo(tmp_path / "a")
    reader = os.open(tmp_path / "a", os.O_RDONLY | os.O_NONBLOCK)
    with open_sink(f"jsonl:{tmp_path}/a", an_output()):
        pass
    os.close(reader)


@pytest.mark.parametrize("kind", ["jsonl", "video", "png", "folder", "crops"])
def test_results_are_not_written_to_addresses(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="got an address") as caught:
        open_sink(f"{kind}:rtmp://u:s3cret@cam/x.mp4", an_output())
    assert "s3cret" not in str(caught.value)
    for place in ("u:s3cret@cam", "u:x.s3cret@cam", "u:s3cret/a@cam/x"):
        with pytest.raises(ConfigError) as caught:
            open_sink(f"video:{place}", an_output())
        assert "s3cret" not in str(caught.value)
    assert not list(tmp_path.iterdir())
