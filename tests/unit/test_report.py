"""The report that a person reads: what it says, what it chooses, and that it stands alone."""

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from converters.record import Attempt, Finding, LayerError, Record, VariantRecord
from converters.report import choose, merge, read_record, write_report
from edge.bundle import Calibration, Metric, OutputParity
from edge.types import U8

pytest.importorskip("matplotlib")

LAYERS = tuple(
    LayerError(
        layer=f"fashion/{'a_very_long_scope_of_a_nested_model/' * (n % 3)}depthwise_{n}",
        op="CONV_2D",
        error=0.8 / (n + 1),
    )
    for n in range(22)
)


TOO_FAR = "accuracy: want a fall of at most 0.01 from Keras, got 0.06"


def attempt(size: int, accuracy: float, cosine: float, complaint: str = "", settings: str = "") -> Attempt:
    """Make one try of a classifier whose Keras model has an accuracy of 0.9."""
    parity = OutputParity(output="class", max_abs=1 - cosine, cosine_min=cosine, cosine_limit=0.9, inputs=48)
    metrics = (
        Metric(name="accuracy", value=accuracy, keras=0.9, examples=10_000),
        Metric(name="top-1 agreement", value=min(1.0, 1 - 2 * (0.9 - accuracy)), examples=10_000),
        Metric(name="macro F1", value=accuracy - 0.01, keras=0.89, examples=10_000),
        *(Metric(name=f"F1 {n}", value=accuracy - 0.001 * n, keras=0.9 - 0.001 * n, examples=1000) for n in range(10)),
    )
    layers = LAYERS if complaint else ()
    return Attempt(
        settings=settings, seconds=2.5, complaint=complaint, size=size, parity=(parity,), metrics=metrics, layers=layers
    )


def variant(name: str, *attempts: Attempt, status: str = "written", latency: float = 0.3) -> VariantRecord:
    return VariantRecord(
        name=name, bundle=f"fashion-28-{name}", status=status, attempts=attempts,
        latency_ms=latency if status == "written" else None,
        latency_words=f"{'ai-edge-litert 2.3.0' if name.endswith('tflite') else 'onnxruntime 1.32.0'}, 2 threads",
        minimum_runtime="1.14.0" if name.endswith("tflite") else "",
    )  # fmt: skip


def record(**changes: object) -> Record:
    made = Record(
        stem="fashion-28",
        task="classify",
        source="fashion.keras",
        facts=("inputs: image float32 (1, 28, 28, 1)", "augmentation: RandomFlip | off in every file"),
        target="pi5",
        max_drop=0.01,
        versions={"tensorflow-cpu": "2.21.0", "keras": "3.15.1"},
        calibration=Calibration(words="200 of calibrate.npz", examples=200, sha256="ab" * 32, seed=3),
        calibration_range=((0.0, 255.0),),
        findings=(Finding(severity="warning", words="calibration: want all 10 classes, got 9; add pictures of <bag>"),),
        variants=(
            variant("fp32-tflite", attempt(230_000, 0.9, 1.0)),
            variant("fp16-tflite", attempt(117_000, 0.9, 0.9999)),
            variant("dynamic-tflite", attempt(63_000, 0.8995, 0.999)),
            variant(
                "int8-tflite",
                attempt(64_500, 0.84, 0.91, TOO_FAR, "minmax ranges"),
                attempt(64_900, 0.899, 0.99, "", "percentile ranges"),
            ),
            variant("fp32-onnx", attempt(228_000, 0.9, 1.0)),
            variant(
                "int8-onnx", attempt(66_000, 0.81, 0.88, TOO_FAR, "minmax ranges"), status="failed"
            ),
        ),
    )  # fmt: skip
    return replace(made, **changes)


def pictures(gray: bool = False) -> list[tuple[str, U8]]:
    rng = np.random.default_rng(0)
    made: list[tuple[str, U8]] = []
    for n in range(24):
        seed = rng.integers(0, 256, (4, 4) if gray else (4, 4, 3)).astype(np.uint8)
        size = (28, 28) if gray else (64 + 4 * n, 96)
        made.append((f"{n}.png", cv2.resize(seed, size, interpolation=cv2.INTER_CUBIC)))  # type: ignore[arg-type]
    return made


class _Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def made_report(folder: Path, given: Record, shown: list[tuple[str, U8]]) -> tuple[_Page, str]:
    write_report(folder, given, shown)
    return _Page((folder / "report.html").read_text("utf-8")), (folder / "report.md").read_text("utf-8")


def test_a_report_says_everything_a_person_must_know(tmp_path: Path) -> None:
    whole = record()
    chosen, why = choose(whole, "pi5")
    page, markdown = made_report(tmp_path, replace(whole, chosen=chosen, why=why), pictures())
    for words in (
        "Take fashion-28-int8-tflite", "65 kB", "not a verdict for the board", "edge profile", "percentile ranges",
        TOO_FAR, "0.990000", "200 of calibrate.npz", "ab" * 8, "0 to 255",
        "want all 10 classes", "tensorflow-cpu", "2.21.0", "1.14.0", "top-1 agreement", "RandomFlip",
    ):  # fmt: skip
        assert words in page.words, words
        assert words in markdown, words
    assert "augmentation: RandomFlip \\| off" in markdown
    assert not page.open


def test_the_html_stands_alone(tmp_path: Path) -> None:
    page, _ = made_report(tmp_path, record(), pictures())
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "object"} & set(names)
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 5, "sizes, two variants' layers, contact sheet, pixels"
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert not re.search(r"https?://|@import|url\(", re.sub(r"base64,[^\"]*", "", text))
    assert "<bag>" in page.words


def test_every_picture_can_be_read_and_is_in_the_markdown(tmp_path: Path) -> None:
    _, markdown = made_report(tmp_path, record(), pictures())
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", markdown)
    assert sorted(named) == sorted(path.name for path in tmp_path.glob("*.png"))
    for name in named:
        image = cv2.imread(str(tmp_path / name))
        assert image is not None
        assert image.std() > 5, f"{name} is empty"


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(tmp_path / name, record(), pictures())
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert len(first) == 8


def test_a_record_is_read_back_as_it_was(tmp_path: Path) -> None:
    write_report(tmp_path, record(), [])
    assert read_record(tmp_path) == record()
    (tmp_path / "report.json").write_text('{"stem": 1}')
    assert read_record(tmp_path) is None
    assert read_record(tmp_path / "none") is None


def test_a_record_of_nothing_but_failures_makes_a_report(tmp_path: Path) -> None:
    failed = variant("int8-tflite", Attempt(settings="", seconds=1, complaint="want a file, got none"), status="failed")
    empty = record(variants=(failed,), calibration=None, calibration_range=(), findings=(), versions={})
    assert choose(empty, "pi5") == ("", "no variant was written")
    page, _ = made_report(tmp_path, empty, [])
    assert "No bundle to take" in page.words
    assert not list(tmp_path.glob("*.png"))


def test_pictures_of_an_earlier_report_stay_only_while_they_are_true(tmp_path: Path) -> None:
    write_report(tmp_path, record(), pictures(gray=True))
    before = (tmp_path / "calibration.png").read_bytes()
    write_report(tmp_path, record(variants=record().variants[:4]), [])
    assert (tmp_path / "calibration.png").read_bytes() == before
    assert {path.name for path in tmp_path.glob("layers-*")} == {"layers-int8-tflite.png"}
    write_report(tmp_path, record(calibration=None), [])
    assert not (tmp_path / "calibration.png").exists()


def test_merging_keeps_what_was_not_made_again() -> None:
    old = record(chosen="fashion-28-fp32-onnx", why="old")
    again = variant("fp16-tflite", attempt(117_500, 0.9, 0.9999))
    new = record(variants=(again,), calibration=None, calibration_range=(), findings=())
    merged = merge(old, new)
    assert [v.name for v in merged.variants] == [
        "fp32-tflite", "fp16-tflite", "dynamic-tflite", "int8-tflite", "fp32-onnx", "int8-onnx",
    ]  # fmt: skip
    assert merged.variants[1] == again
    assert (merged.calibration, merged.findings) == (old.calibration, old.findings)
    assert (merged.chosen, merged.why) == ("", "")
    assert merge(replace(old, basis="of another model"), new).variants == (again,)
    assert merge(None, new).variants == (again,)


@pytest.mark.parametrize(
    ("target", "task", "wanted"),
    [
        ("pi5", "classify", "int8-tflite"),
        ("pi4", "embed", "dynamic-tflite"),
        ("jetson", "classify", "fp32-onnx"),  # no fp16 was made, int8 failed
        ("", "classify", "dynamic-tflite"),  # the smallest
    ],
)
def test_the_choice_follows_target_and_task(target: str, task: str, wanted: str) -> None:
    bundle, why = choose(record(task=task), target)
    assert bundle == f"fashion-28-{wanted}"
    assert "kB" in why
    assert not why.endswith(".")


def test_a_variant_that_falls_too_far_is_not_chosen_though_its_own_rule_let_it_pass() -> None:
    far = variant("int8-tflite", attempt(64_000, 0.86, 0.97))
    near = variant("fp16-tflite", attempt(117_000, 0.9, 0.9999))
    bundle, why = choose(record(variants=(far, near)), "pi5")
    assert bundle == "fashion-28-fp16-tflite"
    assert "int8-tflite fell by 0.0400" in why
    assert choose(record(variants=(far,)), "pi5")[0] == "fashion-28-int8-tflite"
