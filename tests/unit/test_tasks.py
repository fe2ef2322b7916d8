"""The metrics of each task against figures worked out by hand or by other people's code."""

import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

from converters.average_precision import IGNORED, Boxes, average_precision, matched_iou
from converters.datacheck import check_answers, check_calibration, swapped_classes
from converters.examples import NoiseExamples, Truth
from converters.facts import Drift, Facts
from converters.parity import COSINES, compare, floor_by_spread
from converters.recipe import Kind
from converters.tasks import Terms, agreement, drop, f1_by_class, judge_for
from edge.bundle import Preprocess, TensorSpec

IMAGE = (TensorSpec(name="image", dtype="uint8", shape=(1, 8, 8, 3)),)
NOISE = NoiseExamples(IMAGE, Preprocess(fit="stretch"), count=60)


def terms(task: str, *shapes: tuple[int, ...]) -> Terms:
    outputs = tuple(TensorSpec(name=f"out{n}", dtype="float32", shape=shape) for n, shape in enumerate(shapes))
    return Terms(task, IMAGE, outputs, Preprocess(fit="stretch"))


def answers(judge, *outputs):  # type: ignore[no-untyped-def]
    return [judge.answer([np.array(values, np.float32)], n, NOISE) for n, values in enumerate(outputs)]


def test_a_classifier_is_judged_by_agreement_accuracy_and_f1() -> None:
    judge = judge_for(terms("classify", (1, 3)))
    keras = answers(judge, [[0.8, 0.1, 0.1]], [[0.1, 0.8, 0.1]], [[0.1, 0.1, 0.8]], [[0.6, 0.2, 0.2]])
    packed = answers(judge, [[0.8, 0.1, 0.1]], [[0.1, 0.8, 0.1]], [[0.1, 0.5, 0.4]], [[0.6, 0.2, 0.2]])
    metrics = {m.name: m for m in judge.score(keras, packed, Truth(classes=np.array([0, 1, 2, 1])))}
    assert metrics["accuracy"].value == 0.5
    assert metrics["accuracy"].keras == 0.75
    assert metrics["top-1 agreement"].value == 0.75
    ordered = judge.score(keras, packed, Truth(classes=np.array([0, 1, 2, 1])))
    assert drop(ordered) == 0.25
    assert agreement(ordered) == 0.75
    assert drop(judge.score(keras, packed, None)) == 0.25


def test_f1_is_that_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(0)
    right, chosen = rng.integers(0, 5, 300), rng.integers(0, 5, 300)
    np.testing.assert_allclose(f1_by_class(right, chosen, 5), sklearn.f1_score(right, chosen, average=None))


def test_f1_by_hand() -> None:
    np.testing.assert_allclose(f1_by_class(np.array([0, 0, 1]), np.array([0, 1, 1]), 3), [2 / 3, 2 / 3, 0])


def test_an_embedder_is_judged_by_neighbours() -> None:
    judge = judge_for(terms("embed", (1, 2)))
    keras = answers(judge, [[0, 0]], [[1, 0]], [[5, 5]], [[5, 6.5]])
    packed = answers(judge, [[0, 0]], [[1, 0]], [[5, 5]], [[0, 0.5]])
    metrics = {m.name: m.value for m in judge.score(keras, packed, None)}
    assert metrics["nearest-neighbour agreement"] == 0.25  # only the second still asks the first
    assert metrics["mixed-gallery agreement"] == 0.75
    same = {m.name: m.value for m in judge.score(keras, keras, Truth(classes=np.array([0, 0, 1, 1])))}
    assert same["rank-1"] == same["nearest-neighbour agreement"] == 1


def test_a_pair_is_judged_by_decisions() -> None:
    judge = judge_for(terms("pair", (1, 1)))
    keras, packed = answers(judge, [[0.9]], [[0.52]], [[0.1]]), answers(judge, [[0.8]], [[0.48]], [[0.3]])
    assert drop(judge.score(keras, packed, None)) == pytest.approx(1 / 3)


def test_a_localizer_is_judged_by_iou_in_picture_pixels() -> None:
    judge = judge_for(terms("localize", (1, 2), (1, 4)))

    class PictureExamples(NoiseExamples):
        def picture(self, number: int) -> np.ndarray:
            return np.zeros((100, 200, 3), np.uint8)

    pictures = PictureExamples(IMAGE, Preprocess(fit="stretch"))
    outputs = [np.array([[0.1, 0.9]], np.float32), np.array([[0, 0, 0.5, 0.5]], np.float32)]
    answer = judge.answer(outputs, 0, pictures)
    np.testing.assert_allclose(answer[0], [0, 0, 100, 50])
    truth = Truth(classes=np.array([1]), boxes=(np.array([[0, 0, 100, 100]], np.float32),))
    metrics = {m.name: m.value for m in judge.score([answer], [answer], truth)}
    assert metrics["mIoU"] == pytest.approx(0.5)
    assert metrics["accuracy"] == 1


def found(*rows: tuple[float, float, float, float, float]) -> tuple[np.ndarray, ...]:
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    return boxes, np.array([row[4] for row in rows], np.float32), np.zeros(len(rows), np.int32)


def test_average_precision_by_hand() -> None:
    wanted = [Boxes(np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32), np.zeros(2, np.int64))]
    right, wrong = (0, 0, 10, 10, 0.9), (50, 50, 60, 60, 0.8)
    late = (20, 0, 30, 10, 0.7)
    assert average_precision([found(right, late)], wanted) == 1
    assert average_precision([found(right, wrong, late)], wanted) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert average_precision([found()], wanted) == 0
    assert matched_iou([found(right)], wanted) == 0.5


def test_a_second_box_on_the_same_object_is_wrong_and_an_ignored_one_is_not() -> None:
    wanted = [Boxes(np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32), np.array([0, IGNORED]))]
    twice = found((0, 0, 10, 10, 0.9), (0, 0, 10, 10, 0.8), (20, 0, 30, 10, 0.95))
    assert average_precision([twice], wanted) == 1  # what comes after full recall costs nothing
    assert average_precision([found((0, 0, 10, 10, 0.5), (20, 0, 30, 10, 0.95))], wanted) == 1


FACTS = Facts(
    source="m", source_sha256="", format="", library="keras", normalisation=("Rescaling",), expected_range=(0, 255)
)


def samples(low: float, high: float) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [[rng.uniform(low, high, (1, 8, 8, 3)).astype(np.float32)] for _ in range(60)]


def severities(*arguments) -> list[str]:  # type: ignore[no-untyped-def]
    return [finding.severity for finding in check_calibration(NOISE, *arguments)]


def test_the_right_scale_passes_and_the_wrong_one_is_an_error() -> None:
    right, wrong = samples(0, 255), samples(0, 1)
    bare = Facts(source="m", source_sha256="", format="", library="keras")
    assert severities(right, right, FACTS, None) == []
    assert severities(samples(90, 130), right, FACTS, None) == []  # dull pictures are not in another scale
    assert severities(wrong, wrong, FACTS, None) == ["error"]
    assert severities(wrong, right, bare, None) == ["error"]
    assert severities(right, wrong, bare, None) == ["error"]
    assert severities(right, right, bare, Drift(layer="bn", shift=0.1, spread=1 / 255)) == ["error"]
    assert severities(right, right, bare, Drift(layer="bn", shift=1.5, spread=0.5)) == []


def test_constant_and_few_examples_are_named() -> None:
    black = [[np.zeros((1, 8, 8, 3), np.float32)] for _ in range(60)]
    assert "error" in severities(black, samples(0, 255), FACTS, None)
    few = NOISE.part(range(10), "ten")
    assert [f.severity for f in check_calibration(few, samples(0, 255), samples(0, 255), FACTS, None)] == ["warning"]


def test_a_classifier_at_chance_is_told_so() -> None:
    truth = Truth(classes=np.arange(100) % 10)
    always = [(np.asarray(3),)] * 100
    assert [f.severity for f in check_answers("classify", always, truth)] == ["error"]
    assert list(check_answers("classify", [(np.asarray(n % 10),) for n in range(100)], truth)) == []
    assert [f.severity for f in check_answers("embed", [(np.ones(4),)] * 60, None)] == ["error"]


def test_a_real_classifier_whose_labels_are_in_another_order_is_noticed_and_the_order_named() -> None:
    """Digits of UCI, 1,797 real pictures of 8 x 8."""
    digits = datasets.load_digits()
    net = LogisticRegression(max_iter=200).fit(digits.data[:900] / 16, digits.target[:900])
    answers = [(np.asarray(answer),) for answer in net.predict(digits.data[900:] / 16)]
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    right = digits.target[900:]
    assert list(check_answers("classify", answers, Truth(classes=right, names=names), names)) == []
    for moved in ([1, 0, 2, 3, 4, 5, 6, 7, 8, 9], list(range(9, -1, -1)), [0, 1, 2, 3, 4, 5, 8, 6, 7, 9]):
        given = tuple(names[place] for place in moved)  # the person's order; folders are read by it
        truth = Truth(classes=np.array([given.index(names[digit]) for digit in right]), names=given)
        (found,) = check_answers("classify", answers, truth, given)
        assert found.severity == "error"
        assert found.words.endswith(f"--labels {','.join(names)}")
        first = next(place for place in range(10) if moved[place] != place)
        assert f"class {first} '{given[first]}' behaves as '{names[first]}'" in found.words


@pytest.mark.parametrize(("answers", "found"), [(10, True), (9, False)])
def test_a_class_of_few_answers_proves_nothing(answers: int, found: bool) -> None:
    chosen = np.repeat([0, 1], answers)
    assert bool(swapped_classes(chosen, 1 - chosen)) is found
    assert swapped_classes(chosen, chosen) == {}


def test_a_bad_model_is_not_one_with_other_labels() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        assert swapped_classes(random.integers(0, 4, 200), random.integers(0, 4, 200)) == {}
    assert (
        swapped_classes(np.repeat([0, 1, 2], 30), np.repeat([1, 1, 2], 30)) == {}
    )  # 0 and 1 are confused, not swapped


@pytest.mark.parametrize("kind", ["dynamic", "int8"])
def test_the_floor_of_an_embedder_is_by_how_far_its_answers_lie_apart(kind: Kind) -> None:
    random = np.random.default_rng(0)
    spread = list(random.normal(size=(100, 128)))
    crowded = [np.abs(vector) + 1 for vector in spread]
    assert floor_by_spread(crowded, kind) == COSINES[kind]
    assert floor_by_spread(spread, kind) == pytest.approx(0.75, abs=0.01)
    assert floor_by_spread(spread, "fp32") == COSINES["fp32"]
    assert floor_by_spread(spread[:1], kind) == COSINES[kind]
    (part,) = compare(["e"], [[vector] for vector in spread], [[vector] for vector in spread], None, kind)
    assert part.cosine_limit == floor_by_spread(spread, kind)


def test_within_the_floor_an_answer_is_nearest_to_its_own() -> None:
    """The worst direction is straight to the other answer: half the chord is where both are equally near."""
    own, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    floor = floor_by_spread([own, other], "dynamic")
    for angle in np.linspace(0, np.arccos(floor), 20):
        moved = np.array([np.cos(angle), np.sin(angle)])
        assert np.linalg.norm(moved - own) < np.linalg.norm(moved - other)
