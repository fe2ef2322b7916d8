"""The workflow: the table of last activations and losses against Keras, starters, and steps that can fail."""

import csv
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

pytest.importorskip("keras", reason="training needs the extras [convert] and [train]")
pytest.importorskip("sklearn", reason="training needs the extra [train]")

import keras
from scipy import stats
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

from edge.errors import ConfigError
from models.__main__ import main
from models.training.recipe import read_recipe
from models.workflow import steps
from models.workflow.data import read_examples
from models.workflow.kinds import KINDS, Task, chance, chance_of_worse, scores
from models.workflow.recipe import WorkflowRecipe, write_starter
from models.workflow.scaling import fit_scaling
from models.workflow.steps import Case, _strata, open_case, take_step

TASKS: tuple[Task, ...] = get_args(Task)
TRUTHS: dict[Task, list[list[float]]] = {
    "binary": [[0], [1]],
    "multiclass": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "multilabel": [[0, 0, 1], [1, 1, 0], [0, 0, 0]],
    "regression": [[-37.5], [0], [1200]],
    "unit-regression": [[0.0], [0.3], [1.0]],
}
"""Answers that each task may have."""


@pytest.mark.parametrize("task", TASKS)
def test_the_last_activation_can_give_every_answer_of_the_task_and_no_other(task: Task) -> None:
    activation = keras.activations.get(KINDS[task].activation)
    logits = np.random.default_rng(0).normal(0, 30, (500, 3)).astype(np.float32)
    answers = keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(logits)))
    if task == "regression":
        np.testing.assert_array_equal(answers, logits)
        return
    assert 0 <= answers.min() <= 0.01
    assert 0.99 <= answers.max() <= 1
    sums = answers.sum(axis=1)
    if task == "multiclass":
        np.testing.assert_allclose(sums, 1, atol=1e-4)
    else:
        assert sums.min() < 0.1  # none of the labels
        assert sums.max() > 2.9  # all of them


@pytest.mark.parametrize(("task", "loss"), [(task, loss) for task in TASKS for loss in KINDS[task].losses])
def test_the_loss_is_least_at_the_truth_and_pulls_towards_it(task: Task, loss: str) -> None:
    """Through the last activation, every logit is pulled to its own side, and most where it is most wrong."""
    import tensorflow as tf

    measure, activation = keras.losses.get(loss), keras.activations.get(KINDS[task].activation)
    truth = tf.constant(TRUTHS[task], tf.float32)
    at_truth = float(tf.reduce_mean(measure(truth, truth)))
    for wrong in (truth + 0.2, truth * 0.5 + 0.2):
        if task != "regression":
            wrong = tf.clip_by_value(wrong, 0.0, 1.0)
        assert float(tf.reduce_mean(measure(truth, wrong))) > at_truth
    logits = tf.Variable(tf.zeros_like(truth) + 0.1)
    with tf.GradientTape() as tape:
        answers = activation(logits)
        value = tf.reduce_sum(measure(truth, answers))
    slope, error = tape.gradient(value, logits).numpy(), (answers - truth).numpy()
    assert (np.sign(slope) == np.sign(error)).all()
    if loss.endswith("crossentropy"):  # the pair is matched: the slope is the error itself, and never fades
        scale = truth.shape[1] if loss.startswith("binary") else 1
        np.testing.assert_allclose(slope * scale, error, atol=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_a_starter_is_a_recipe_whose_keras_model_has_the_table_s_last_layer(task: Task, tmp_path: Path) -> None:
    from models.workflow.data import Examples
    from models.workflow.nets import large_net

    path = tmp_path / "a.toml"
    assert main(["new", "--task", task, "--name", "mine", "--data", "there", "--out", str(path)]) == 0
    recipe = read_recipe(path, WorkflowRecipe)
    assert (recipe.name, recipe.task, recipe.data) == ("mine", task, "there")
    y = np.array(TRUTHS[task], np.float32)
    examples = Examples(np.zeros((len(y), 16, 16, 3), np.uint8), y, ())
    model = large_net(recipe, examples, fit_scaling(None, y if task == "regression" else None), held_back=True)
    assert model.get_layer("answer").activation.__name__ == KINDS[task].activation
    assert model.loss == KINDS[task].losses[0]
    assert model.output_shape == (None, y.shape[1])
    assert np.isfinite(model.evaluate(examples.x, y, verbose=0))
    assert main(["new", "--task", task, "--name", "mine", "--out", str(path)]) == 2  # never over a file that is there


@pytest.mark.parametrize("task", TASKS)
def test_any_other_activation_or_loss_is_refused(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    write_starter(path, "a", task, "there")
    text = path.read_text()
    for activation in {"sigmoid", "softmax", "linear"} - {KINDS[task].activation}:
        path.write_text(
            text.replace(f'last_activation = "{KINDS[task].activation}"', f'last_activation = "{activation}"')
        )
        with pytest.raises(ConfigError, match=f"last_activation: want '{KINDS[task].activation}' for {task}"):
            read_recipe(path, WorkflowRecipe)
    for loss in {loss for kind in KINDS.values() for loss in kind.losses} - set(KINDS[task].losses):
        path.write_text(text.replace(f'loss = "{KINDS[task].losses[0]}"', f'loss = "{loss}"'))
        with pytest.raises(ConfigError, match="loss: want"):
            read_recipe(path, WorkflowRecipe)
    path.write_text(text + "drop_out = 0.3\n")
    with pytest.raises(ConfigError, match="drop_out"):
        read_recipe(path, WorkflowRecipe)


def table(path: Path, x: np.ndarray, answers: list[Any]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"c{n}" for n in range(x.shape[1])), "answer"])
        writer.writerows([*row, answer] for row, answer in zip(x.tolist(), answers, strict=True))
    return path


def case_of(tmp_path: Path, task: Task, data: Path, **changed: Any) -> Case:
    path = tmp_path / f"{task}.toml"
    write_starter(path, task, task, str(data))
    text = path.read_text()
    for name, value in {"epochs": 25, "patience": 4, "units": 32, "batch": 32, **changed}.items():
        text = "\n".join(f"{name} = {value}" if line.startswith(f"{name} =") else line for line in text.splitlines())
    path.write_text(text)
    return open_case(read_recipe(path, WorkflowRecipe), text, tmp_path / "work", tmp_path / "models")


def test_real_tumours_go_through_all_steps(tmp_path: Path) -> None:
    """Wisconsin breast cancer, 569 real cases: published accuracies are about 97 %."""
    data = datasets.load_breast_cancer()
    x = np.concatenate([data.data, data.data[:20]])  # twenty are there twice
    kinds = [data.target_names[kind] for kind in (*data.target, *data.target[:20])]
    case = case_of(tmp_path, "binary", table(tmp_path / "a.csv", x, kinds), epochs=40, units=128)
    split = take_step("split", case)
    assert split.passed
    assert "20 duplicates kept together" in split.words
    for step in ("vectorise", "baseline", "overfit", "regularise"):
        verdict = take_step(step, case)
        assert verdict.passed, verdict.words
    assert verdict.figures["test"] > 0.92
    model = keras.models.load_model(tmp_path / "models" / "binary" / "model.keras")
    rows = case.rows("test")
    right = (model.predict(case.examples.x[rows], verbose=0) >= 0.5) == case.examples.y[rows]
    assert right.mean() == pytest.approx(verdict.figures["test"], abs=1e-6)  # the model takes raw numbers
    assert take_step("regularise", case).figures["nets_tested"] == 1
    (tmp_path / "binary.toml").unlink()
    tuned = take_step("regularise", case_of(tmp_path, "binary", tmp_path / "a.csv", epochs=40, units=128, dropout=0.3))
    assert "shown to 2 nets by now" in tuned.words


def test_answers_of_any_size_are_learnt_in_their_own_unit(tmp_path: Path) -> None:
    """Diabetes, 442 real cases, answers 25 to 346: without scaling a baseline stays at 0, far below chance."""
    data = datasets.load_diabetes()
    case = case_of(tmp_path, "regression", table(tmp_path / "a.csv", data.data, data.target.tolist()), epochs=40)
    for step in ("split", "vectorise", "baseline"):
        verdict = take_step(step, case)
        assert verdict.passed, verdict.words
    assert -55 < verdict.figures["score"] < -35  # least squares: a mean absolute error of about 44


def test_a_baseline_on_answers_that_are_not_in_the_data_is_not_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    data = table(tmp_path / "a.csv", random.normal(size=(300, 4)), [("a", "b")[k] for k in random.integers(0, 2, 300)])
    path = tmp_path / "noise.toml"
    write_starter(path, "noise", "binary", str(data))
    words = ["step", "all", str(path), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "models")]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "vectorise: passed" in said
    assert "baseline: NOT PASSED" in said
    assert "overfit" not in said
    assert main(["step", "overfit", *words[2:]]) == 2
    assert "want step baseline passed before, got one that was not passed" in capsys.readouterr().err


def test_an_easy_small_table_passes_the_baseline_of_the_starter_as_it_is_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4))
    answers = [("no", "yes")[int(value > 0)] for value in x[:, 0] + x[:, 1] + random.normal(0, 0.3, 300)]
    data = table(tmp_path / "a.csv", x, answers)
    path = tmp_path / "easy.toml"
    write_starter(path, "easy", "binary", str(data))
    case = open_case(read_recipe(path, WorkflowRecipe), path.read_text(), tmp_path / "work", tmp_path / "models")
    for step in ("split", "vectorise", "baseline"):
        verdict = take_step(step, case)
        assert verdict.passed, verdict.words
    (x_train, y_train), (x_eval, y_eval) = case.part("train"), case.part("eval")
    reference = LogisticRegression().fit(x_train, y_train[:, 0]).score(x_eval, y_eval[:, 0])
    assert verdict.figures["score"] == pytest.approx(reference, abs=0.05)


def test_a_baseline_that_was_cut_off_does_not_blame_the_data(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    data = table(tmp_path / "a.csv", x, [("no", "yes")[int(value > 0)] for value in x[:, 0]])
    case = case_of(tmp_path, "binary", data, epochs=2, learning_rate=1e-6)
    take_step("split", case)
    take_step("vectorise", case)
    verdict = take_step("baseline", case)
    assert not verdict.passed
    assert verdict.words.endswith("the eval loss was still falling in epoch 2: raise epochs or learning_rate")


def test_a_verdict_counts_for_the_keys_that_its_net_is_trained_with(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    data = table(tmp_path / "a.csv", x, [("no", "yes")[int(value > 0)] for value in x[:, 0]])

    def stamps(**changed: Any) -> list[str]:
        (tmp_path / "binary.toml").unlink(missing_ok=True)
        case = case_of(tmp_path, "binary", data, **changed)
        return [case.stamp_of(step) for step in ("split", "baseline", "overfit", "regularise")]

    first = stamps()
    same = [[a == b for a, b in zip(first, stamps(**changed), strict=True)] for changed in (
        {"dropout": 0.1, "l2": 0.5}, {"units": 64}, {"learning_rate": 0.1}, {"seed": 1}
    )]  # fmt: skip
    assert same == [[True, True, True, False], [True, True, False, False], [True, False, False, False], [False] * 4]


@pytest.mark.parametrize(("share", "parts"), [(0.4, (40, 40, 20)), (0.3, (30, 30, 40)), (0.2, (20, 20, 60))])
def test_the_parts_are_as_large_as_was_asked(tmp_path: Path, share: float, parts: tuple[int, int, int]) -> None:
    x = np.random.default_rng(0).normal(size=(400, 3))
    data = table(tmp_path / "a.csv", x, [("no", "yes")[n % 2] for n in range(400)])
    if share == 0.4:
        with pytest.raises(ConfigError, match=r"eval_share: want at most half of what test_share 0.4 leaves, got 0.4"):
            case_of(tmp_path, "binary", data, eval_share=share, test_share=share)
        return
    case = case_of(tmp_path, "binary", data, eval_share=share, test_share=share)
    assert take_step("split", case).passed
    sizes = [len(case.rows(part)) / 4 for part in ("test", "eval", "train")]
    np.testing.assert_allclose(sizes, parts, atol=2)


def test_a_class_too_small_to_split_is_called_by_its_name(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    case = case_of(tmp_path, "binary", table(tmp_path / "a.csv", x, ["dog"] * 38 + ["cat"] * 2))
    with pytest.raises(ConfigError, match="got 2 of class cat"):
        take_step("split", case)


def test_a_starter_keeps_odd_paths_and_refuses_odd_names(tmp_path: Path) -> None:
    for number, data in enumerate(('a "b"', "c:\\new\\d", "line\nline", "\x7f\x01", "daten/\u00fc\U0001f600")):
        path = tmp_path / f"{number}.toml"
        assert main(["new", "--task", "binary", "--name", "a", "--data", data, "--out", str(path)]) == 0
        assert read_recipe(path, WorkflowRecipe).data == data
    for name in ("", "a b", 'a"', "a'", "a\nb", "a/b", "\udcff"):
        assert main(["new", "--task", "binary", "--name", name, "--out", str(tmp_path / "no.toml")]) == 2
    assert main(["new", "--task", "binary", "--data", "\udcff", "--out", str(tmp_path / "no.toml")]) == 2
    assert not (tmp_path / "no.toml").exists()


def test_a_step_is_not_taken_on_other_data_than_the_split(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    data = table(tmp_path / "a.csv", x, (x[:, 0] * 3 + 1).tolist())
    assert take_step("split", case_of(tmp_path, "regression", data)).passed
    (tmp_path / "regression.toml").unlink()
    table(data, x + 1, (x[:, 0] * 3 + 1).tolist())
    with pytest.raises(ConfigError, match="want step split passed before, got none with these data"):
        take_step("vectorise", case_of(tmp_path, "regression", data))


def test_scaling_is_learnt_from_the_training_part_alone(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(5, 3, size=(200, 3)).astype(np.float32)
    case = case_of(tmp_path, "regression", table(tmp_path / "a.csv", x, x[:, 0].tolist()))
    take_step("split", case)
    assert take_step("vectorise", case).passed
    train = case.part("train")[0]
    np.testing.assert_allclose(case.scaling().mean, train.mean(axis=0), rtol=1e-5)
    assert np.abs(case.scaling().mean - case.examples.x.mean(axis=0)).max() > 1e-3


def test_a_column_that_never_changes_does_not_become_noise() -> None:
    x = np.stack([np.full(50, 1e6), np.arange(50.0)], axis=1).astype(np.float32)
    scaling = fit_scaling(x, None)
    assert np.abs(scaling.apply(x)[:, 0]).max() < 1
    assert scaling.apply(x)[:, 1].std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_the_truth_scores_best_and_chance_looks_at_nothing(task: Task) -> None:
    truth = np.array(TRUTHS[task] * 5, np.float32)
    blind = chance(task, truth, len(truth))
    assert len(np.unique(blind, axis=0)) == 1
    assert scores(task, truth, truth).mean() == pytest.approx(0.0 if "regression" in task else 1.0)
    assert scores(task, truth, blind).mean() < scores(task, truth, truth).mean()


def test_rare_sets_of_labels_do_not_stop_a_split(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    y = (random.random((200, 3)) < (0.5, 0.3, 0.03)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=random.normal(size=(200, 5)), y=y)
    case = case_of(tmp_path, "multilabel", tmp_path / "a.npz")
    counts = np.bincount(_strata(case.examples, case.recipe))
    assert counts.min() >= 15
    assert take_step("split", case).passed


def pictures(folder: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (20 + number, 30, 3), np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), pixels)
    return folder


def test_a_folder_of_pictures_in_many_sizes_with_a_torn_one(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", {"cat": 8, "dog": 6})
    (folder / "dog" / "torn.jpg").write_bytes(b"\xff\xd8\xff no picture")
    found = read_examples(str(folder), "binary", 24)
    assert found.x.shape == (14, 24, 24, 3)
    assert found.names == ("cat", "dog")
    assert found.y[:, 0].tolist() == [0] * 8 + [1] * 6
    assert found.words == (
        "1 left out, cannot be decoded: dog/torn.jpg",
        "8 sizes of pictures, all fitted to 24 x 24",
    )


def test_a_folder_with_a_table_of_several_labels(tmp_path: Path) -> None:
    folder = pictures(tmp_path, {"images": 12})
    rows = [f"images/{n}.png,{('red', 'red|big', 'big')[n % 3]}" for n in range(12)]
    (folder / "labels.csv").write_text("\n".join(["file,labels", *rows]))
    found = read_examples(str(folder), "multilabel", 16)
    assert found.names == ("big", "red")
    assert found.y[:3].tolist() == [[0, 1], [1, 1], [1, 0]]


def test_labels_csv_with_spaces_a_missing_file_and_empty_answers(tmp_path: Path) -> None:
    folder = pictures(tmp_path, {"images": 12})
    rows = [f" images/{n}.png , {('red', 'red | big', 'big')[n % 3]} " for n in range(11)]
    (folder / "labels.csv").write_text("\n".join(["images/gone.png,red", *rows, "", "images/11.png, ", "images/0.png"]))
    found = read_examples(str(folder), "multilabel", 16)
    assert found.names == ("big", "red")
    assert found.y[[0, 1, 2, 11]].tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]
    assert found.words[:2] == (
        "1 lines of labels.csv left out, not of the form file,answer: 15",
        "1 left out, cannot be decoded: images/gone.png",
    )
    rows = [f"images/{n}.png,{'ab'[n % 2]}" for n in range(11)]
    (folder / "labels.csv").write_text("\n".join(["picture,kind", *rows, "images/11.png,"]))
    found = read_examples(str(folder), "binary", 16)
    assert (len(found.x), found.names) == (11, ("a", "b"))
    assert found.words[0].endswith("not of the form file,answer: 13")
    (folder / "labels.csv").write_text("\n".join([*rows, "images/gone.png,c"]))
    with pytest.raises(ConfigError, match="want pictures of every class, got none in c"):
        read_examples(str(folder), "multiclass", 16)
    (folder / "labels.csv").write_text("\n".join(["file;kind", *rows]).replace(",", ";"))
    with pytest.raises(ConfigError, match="want commas between the cells, got semicolons"):
        read_examples(str(folder), "binary", 16)


@pytest.mark.parametrize(
    ("counts", "task", "words"),
    [
        ({"cat": 12, "dog": 0}, "binary", "want pictures of every class, got none in dog"),
        ({"cat": 12}, "binary", "want a folder for each of two or more classes, got 1"),
        ({"cat": 12}, "multiclass", "want a folder for each of two or more classes, got 1"),
        ({"a": 6, "b": 6, "c": 6}, "binary", "want two classes, got 3"),
        ({"cat": 12, "dog": 12}, "regression", "want numbers as answers for regression"),
        ({"cat": 3, "dog": 3}, "binary", "want at least 10 examples, got 6"),
        ({}, "binary", "want a folder for each of two or more classes, got 0"),
    ],
)
def test_a_folder_that_cannot_be_is_one_sentence(
    tmp_path: Path, counts: dict[str, int], task: Task, words: str
) -> None:
    (tmp_path / "p").mkdir()
    with pytest.raises(ConfigError, match=words):
        read_examples(str(pictures(tmp_path / "p", counts)), task, 16)


@pytest.mark.parametrize(
    ("x", "y", "task", "words"),
    [
        (
            np.zeros((20, 3)),
            np.arange(20) / 10,
            "unit-regression",
            "want answers in 0..1 for unit-regression, got 0..1.9",
        ),
        (np.zeros((20, 3)), np.ones(20), "regression", "one value alone"),
        (np.full((20, 3), np.nan), np.arange(20), "regression", "want finite numbers in x"),
        (np.zeros((20, 8, 8)), np.arange(20) % 2, "binary", "want pictures as uint8"),
        (np.zeros((20, 3)), np.arange(20), "multiclass", "is it a regression"),
        (np.zeros((20, 3)), np.arange(19), "regression", "want x .N, .... and y"),
        (np.zeros((20, 3)), np.full((20, 2), 0.5), "multilabel", "want y of 0 and 1"),
        (np.zeros((20, 3)), np.full((20, 2), "a"), "multilabel", "want y of 0 and 1"),
        (np.zeros((20, 3)), np.array(["a", "b"] * 10), "regression", "want numbers as answers"),
        (np.zeros(()), np.zeros(()), "binary", "want x .N, .... and y"),
        (np.zeros((20, 0)), np.zeros(20), "binary", "want x .N, .... and y"),
        (np.full((20, 3), "a"), np.zeros(20), "binary", "want numbers in x and numbers or words in y, got <U1"),
        (np.full((20, 3), 1e39), np.arange(20), "regression", "want finite numbers in x that float32 can hold"),
        (np.zeros((20, 3)), np.full(20, 1e39), "regression", "want finite answers"),
        (np.zeros((20, 3)), np.array([0, 1, np.nan, 1] * 5), "multiclass", "want a class for each example, got NaN"),
        (np.zeros((20, 3)), np.full((20, 2), 0.5), "multiclass", "want y .N,., or rows with a single 1 among 0"),
        (np.zeros((20, 3)), np.ones((20, 2)), "multiclass", "want y .N,., or rows with a single 1 among 0"),
        (np.zeros((20, 3)), np.eye(3)[[0, 2] * 10], "multiclass", "got none in column 1 of y"),
        (np.zeros((20, 8, 8, 4), np.uint8), np.arange(20) % 2, "binary", "want pictures of 1 or 3 channels, got 4"),
    ],
)
def test_arrays_that_cannot_be_are_one_sentence(
    tmp_path: Path, x: np.ndarray, y: np.ndarray, task: Task, words: str
) -> None:
    np.savez(tmp_path / "a.npz", x=x, y=y)
    with pytest.raises(ConfigError, match=words):
        read_examples(str(tmp_path / "a.npz"), task, 16)


def test_an_npz_that_is_torn_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.NPZ"
    with path.open("wb") as file:
        np.savez_compressed(file, x=np.random.default_rng(0).normal(size=(20, 3)), y=np.arange(20) % 2)
    whole = path.read_bytes()
    assert len(read_examples(str(path), "binary", 16).x) == 20
    alone = tmp_path / "alone.npy"
    np.save(alone, np.zeros(3))
    flipped = bytearray(whole)
    flipped[80:120] = bytes(40)
    for torn in (b"", whole[:50], whole[:-30], bytes(flipped), b"no archive", alone.read_bytes()):
        path.write_bytes(torn)
        with pytest.raises(ConfigError, match=r"want an .npz file with x and y, got '.+'; save it again"):
            read_examples(str(path), "binary", 16)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([f"{n},{n * 2},{n / 20}" for n in range(20)], "want a line of names first, got '0,0,0.0'"),
        ([f"{n},{n * 2},{'ab'[n % 2]}" for n in range(20)], "want a line of names first, got '0,0,a'"),
        (["a;b;c", *(f"{n},5;{n};1" for n in range(20))], "want commas between the cells, got semicolons"),
        ([], "want a line of names and lines of numbers"),
    ],
)
def test_a_table_that_cannot_be_is_one_sentence(tmp_path: Path, lines: list[str], words: str) -> None:
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=words):
        read_examples(str(tmp_path / "a.csv"), "binary", 16)


def test_the_lines_named_are_those_of_the_file_and_no_answer_may_be_none_of_the_labels(tmp_path: Path) -> None:
    lines = [f"{n},{n * 2}, {('red', 'red | big', '')[n % 3]}" for n in range(20)]
    (tmp_path / "a.CSV").write_text("\n".join(["\ufeff0,1,answer", "", *lines, "", "1e39,1,red", "x,1,big"]), "utf-8")
    found = read_examples(str(tmp_path / "a.CSV"), "multilabel", 16)
    assert found.names == ("big", "red")
    assert found.y[:3].tolist() == [[0, 1], [1, 1], [0, 0]]
    assert found.words == ("2 lines left out, not 2 numbers and an answer: 24, 25",)


def test_lines_of_a_table_that_are_broken_are_named(tmp_path: Path) -> None:
    lines = [f"{n},{n * 2},{n / 20}" for n in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,answer", *lines, "1,oops,0.2", "1,0.2", "1,nan,0.3"]))
    found = read_examples(str(tmp_path / "a.csv"), "unit-regression", 16)
    assert len(found.x) == 20
    assert found.words == ("3 lines left out, not 2 numbers and an answer: 22, 23, 24",)


@pytest.mark.parametrize(
    ("lost", "won", "luck"),
    [(0, 0, 1.0), (1, 0, 0.5), (5, 0, 1 / 32), (6, 0, 1 / 64), (0, 3, 1.0), (2, 1, 0.5), (15, 5, 0.020695)],
)
def test_luck_of_lost_and_won_examples_is_the_exact_binomial(lost: int, won: int, luck: float) -> None:
    ours = np.repeat(np.array([0, 1, 1], np.float32), (lost, won, 30))
    theirs = np.repeat(np.array([1, 0, 1], np.float32), (lost, won, 30))
    assert chance_of_worse(ours, theirs) == pytest.approx(luck, rel=1e-4)
    assert chance_of_worse(-3.5 + ours, -3.5 + theirs) == pytest.approx(luck, rel=1e-4)  # of numbers, the sign test
    if lost + won:
        tested = stats.binomtest(lost, lost + won, alternative="greater").pvalue
        assert chance_of_worse(ours, theirs) == pytest.approx(tested)


@pytest.mark.parametrize(("task", "lost", "passed"), [(t, n, n < 6) for t in TASKS[:2] for n in (0, 1, 5, 6, 9)])
def test_regularise_fails_where_luck_no_longer_explains_it(
    task: Task, lost: int, passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
    case = case_of(tmp_path, task, table(tmp_path / "a.csv", x, ["a" if row[0] > 0 else "b" for row in x]))
    for step in ("split", "vectorise"):
        take_step(step, case)
    truth = case.part("eval")[1]

    def answers(_: Case, name: str, *__: object) -> tuple[np.ndarray, dict[str, list[float]]]:
        wrong = np.arange(len(truth)) < (lost if name == case.recipe.name else 0)
        return np.where(wrong[:, None], 1 - truth, truth).astype(np.float32), {}

    monkeypatch.setattr(steps, "_trained", answers)
    monkeypatch.setattr(steps, "_tested", lambda _: (0.5, 1))
    verdict = steps.regularise(case)
    assert verdict.passed is passed
    assert f"(p {0.5**lost:.2g})" in verdict.words
