import numpy as np

from edge.bundle import Bundle
from edge.model import open_model
from edge.profiler import StageClock
from edge.stages.embed import AT_ONCE, Embed
from edge.types import Frame


def test_each_crop_gets_the_vector_it_gets_alone_however_many_there_are(embedder: Bundle) -> None:
    rng = np.random.default_rng(3)
    frame = Frame(0, 0, rng.integers(0, 256, (200, 300, 3), np.uint8))
    corner = rng.integers(0, 150, (2 * AT_ONCE + 3, 2))
    boxes = np.hstack([corner, corner + rng.integers(5, 90, corner.shape)]).astype(np.float32)
    with open_model(embedder.path, "embed", 1) as model:
        embed = Embed(model)
        together = embed(frame, boxes, StageClock())
        alone = np.concatenate([embed(frame, boxes[row : row + 1], StageClock()) for row in range(len(boxes))])
        none = embed(frame, boxes[:0], StageClock())
    np.testing.assert_array_equal(together, alone)
    assert len({vector.tobytes() for vector in together}) == len(boxes)
    assert (none.shape, none.dtype) == ((0, embed.dim), np.float32)
