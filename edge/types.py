"""What flows through the loop: `Frame` -> `Detections` -> embeddings -> `Tracks` -> `FrameResult`.

Struct of arrays, frozen, checked when made. Arrays are owned by the value that holds them and are not
written to afterwards. Boxes are always `xyxy`, float32 pixels of `Frame.image`, x to the right, y down.
Embeddings travel as a bare float32 array (N, D).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

NO_DETECTION = -1
"""`Tracks.detection` of a track that coasts: no detection of this frame belongs to it."""
UNKNOWN = -1
"""`Tracks.identity` of a track that no gallery has named."""


def _check(name: str, array: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless the array has this dtype and shape; None in `shape` means any length."""
    if array.dtype == dtype and array.shape == shape:
        return
    fits = array.ndim == len(shape) and all(w is None or w == g for w, g in zip(shape, array.shape, strict=False))
    if array.dtype != dtype or not fits:
        want = ", ".join("N" if n is None else str(n) for n in shape)
        raise ValueError(f"{name}: want {np.dtype(dtype).name} ({want}), got {array.dtype.name} {array.shape}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: counts the source's frames from 0. A gap means that frames were dropped.
        t_capture_ns: `time.monotonic_ns` when the picture was there to be read. Deadlines count from it.
        image: uint8 (H, W, 3) RGB.
        t_source_ns: the source's own time since its first frame: position in a video, clock of a camera.
            Motion and coasting are measured with it, so a file gives the same result at any speed.
        decode_ns: time the source spent to turn bytes into `image`.
        name: of the picture's file; "" where it comes from no file of its own.
        lost_ns: how long the source was lost just before this picture; 0 = it was not.
    """

    index: int
    t_capture_ns: int
    image: U8
    t_source_ns: int = 0
    decode_ns: int = 0
    name: str = ""
    lost_ns: int = 0

    def __post_init__(self) -> None:
        _check("Frame.image", self.image, np.uint8, (None, None, 3))


@dataclass(frozen=True, slots=True)
class Detections:
    """What the detector found in one frame, best score first.

    Attributes:
        boxes: float32 (N, 4) xyxy pixels of `Frame.image`.
        scores: float32 (N,) in [0, 1].
        classes: int32 (N,) index into the bundle's labels.
    """

    boxes: F32
    scores: F32
    classes: I32

    def __post_init__(self) -> None:
        n = len(self.scores)
        _check("Detections.boxes", self.boxes, np.float32, (n, 4))
        _check("Detections.scores", self.scores, np.float32, (n,))
        _check("Detections.classes", self.classes, np.int32, (n,))

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> "Detections":
        """Make the value for a frame in which nothing was found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True)
class Tracks:
    """The individuals followed at one frame.

    Attributes:
        ids: int64 (M,), from 1, never reused in a run.
        boxes: float32 (M, 4) xyxy pixels: the filtered position, or the predicted one while coasting.
        scores: float32 (M,) score of the last detection.
        classes: int32 (M,) index into the bundle's labels.
        detection: int32 (M,) row of `Detections`, -1 = coasting.
        identity: int64 (M,) gallery identity, -1 = unknown.
        distance: float32 (M,) distance between this frame's embedding and the track's own, in the metric and
            unit of the embedder's bundle; NaN where none was measured (coasting, new, or shed).
    """

    ids: I64
    boxes: F32
    scores: F32
    classes: I32
    detection: I32
    identity: I64
    distance: F32

    def __post_init__(self) -> None:
        m = len(self.ids)
        _check("Tracks.ids", self.ids, np.int64, (m,))
        _check("Tracks.boxes", self.boxes, np.float32, (m, 4))
        _check("Tracks.scores", self.scores, np.float32, (m,))
        _check("Tracks.classes", self.classes, np.int32, (m,))
        _check("Tracks.detection", self.detection, np.int32, (m,))
        _check("Tracks.identity", self.identity, np.int64, (m,))
        _check("Tracks.distance", self.distance, np.float32, (m,))

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls) -> "Tracks":
        """Make the value for a frame in which nobody is followed."""
        none = np.zeros(0, np.float32)
        return cls(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), none, np.zeros(0, np.int32),
                   np.zeros(0, np.int32), np.zeros(0, np.int64), none)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FrameResult:
    """All that is known of one frame; what every sink receives.

    Attributes:
        frame: the picture. Sinks must not draw on `frame.image`.
        detections: what the detector found.
        tracks: who is followed.
        stage_ns: time of each stage so far, by the profiler's stage names.
        shed: names of the work left out to keep the budget, in the order of the ladder; empty = all was done.
        age_ns: from capture to this result.
        scores: float32 (C,), of a classifier or a localizer: how sure it is of each class that the picture shows it.
            A localizer's box is the one row of `detections`. None in the loop of detect, embed and match.
        wall_s: wall-clock time of the capture, seconds since 1970 in UTC; None until the clock was set.
    """

    frame: Frame
    detections: Detections
    tracks: Tracks
    stage_ns: dict[str, int] = field(default_factory=dict)
    shed: tuple[str, ...] = ()
    age_ns: int = 0
    scores: F32 | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Something a reader of results must know before it trusts that they are complete.

    Attributes:
        reason: "sink": an output lost results; "clock": the wall clock stepped; "source": the source was lost and is
            back.
        first: number of the first frame that was lost, or of the first one after the step or the loss of the source.
        last: number of the last frame that was lost; `first` again for the other reasons.
        results: how many were lost by the output; 0 for the other reasons.
        ms: size of the step (negative = back), or how long the source was lost; 0 for an output.
        sink: URI of the output; "" for the other reasons.
    """

    reason: Literal["sink", "clock", "source"]
    first: int
    last: int
    results: int = 0
    ms: float = 0.0
    sink: str = ""


@dataclass(frozen=True, slots=True)
class UsedBundle:
    """A bundle that a run works with.

    Attributes:
        name: of its folder.
        sha256: of its SHA256SUMS, and so of every byte.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of a run before its first frame; each output can tell it.

    Attributes:
        id: 12 random hex digits: two runs never share one.
        version: of edge-run.
        source: URI of the pictures, the password hidden.
        camera: name of the camera, as its owner or the source gives it.
        bundles: stage ("detect", "embed", ...) -> what it runs.
        settings: the configuration as plain values, passwords hidden.
    """

    id: str
    version: str
    source: str
    camera: str
    bundles: Mapping[str, UsedBundle] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
