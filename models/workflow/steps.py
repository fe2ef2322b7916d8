"""The steps, in their order. Each is asked for by a command, and says whether it was passed.

| step | passed when |
|---|---|
| split | three parts, every class in each of them, no example in two of them |
| vectorise | finite numbers; the training part has mean 0 and deviation 1, or pixels 0..255 |
| baseline | a single layer beats the best answer that looks at nothing, by two standard errors |
| overfit | the eval loss of the large net stopped falling while its training loss went on, to well below it |
| regularise | the net, held back, is not worse than overfitting at its best, nor than the baseline; then test is read |

F. Chollet, "Deep Learning with Python" (Manning 2017), section 4.5, calls it the universal workflow.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.limits import LimitError, read_npz
from edge.types import F32
from edge.whole import sweep, write_file
from models.data.split import split_rows
from models.training.archive import STAMP_FILE, writable, write_arrays
from models.training.recipe import fingerprint
from models.workflow.data import Examples, read_examples
from models.workflow.kinds import KINDS, better_by, chance, chance_of_worse, scores
from models.workflow.recipe import WorkflowRecipe
from models.workflow.scaling import Scaling, fit_scaling

Step = Literal["split", "vectorise", "baseline", "overfit", "regularise"]
Part = Literal["train", "eval", "test"]
PARTS: tuple[Part, ...] = ("train", "eval", "test")

FOLDER = Path("build/workflow")
"""Where the steps leave what the next one needs, a folder for each model."""

_ERRORS = 2.0
"""Standard errors by which a baseline must beat chance: by luck alone, one in forty does."""
_ALPHA = 0.05
"""How often a net that is as good as both others is called worse than one of them, at most; half of it is for each. On
an eval part of any size, six examples lost and none won are too many, and five are not."""
_GAP = 0.9
"""Training loss over the lowest eval loss, at most: the net knows the training part better than it knows the rest."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a step says.

    Attributes:
        passed: whether it was.
        words: what was found; of a step that was not passed, what to do.
        figures: measured.
    """

    passed: bool
    words: str
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """What a step works with.

    Attributes:
        recipe: of the model.
        text: of the recipe's file.
        examples: all of them.
        folder: of this model's steps.
        models: where trained models land.
    """

    recipe: WorkflowRecipe
    text: str
    examples: Examples
    folder: Path
    models: Path

    @property
    def stamp(self) -> str:
        """Says what the steps were made from: data, and all of the recipe that splits them."""
        recipe = self.recipe
        how = f"{recipe.task} {recipe.eval_share} {recipe.test_share} {recipe.seed}"
        return fingerprint(how, self.examples.x, self.examples.y)

    def stamp_of(self, step: Step) -> str:
        """Says what a step's verdict depends on: `stamp`, and the keys that its net is trained with."""
        return self.stamp if step in ("split", "vectorise") else fingerprint(self.stamp, _relevant(self.recipe, step))

    def rows(self, part: Part) -> NDArray[np.int64]:
        """Rows of one part, as step `split` left them.

        Raises:
            ConfigError: what it left is damaged.
        """
        rows = self._kept("split")[part]
        if rows.dtype != np.int64 or rows.ndim != 1 or not (rows < len(self.examples.x)).all() or not (rows >= 0).all():
            raise _damaged(self.folder / "split.npz", "split")
        return rows

    def part(self, part: Part) -> tuple[NDArray[Any], F32]:
        """Return x and y of one part."""
        rows = self.rows(part)
        return self.examples.x[rows], self.examples.y[rows]

    def scaling(self) -> Scaling:
        """Return what step `vectorise` learnt.

        Raises:
            ConfigError: what it left is damaged.
        """
        return Scaling(**self._kept("scaling"))

    def _kept(self, name: Literal["split", "scaling"]) -> dict[str, NDArray[Any]]:
        """Return the arrays that a step left."""
        file, step = self.folder / f"{name}.npz", "split" if name == "split" else "vectorise"
        names = set(PARTS) if name == "split" else {field.name for field in dataclasses.fields(Scaling)}
        try:
            arrays = read_npz(file)
        except (OSError, LimitError) as error:
            raise _damaged(file, step) from error
        if set(arrays) != names:
            raise _damaged(file, step)
        return arrays


def _damaged(file: Path, step: str) -> ConfigError:
    return ConfigError(f"{file}: want what step {step} left, got a damaged file; take step {step} again")


def open_case(recipe: WorkflowRecipe, text: str, folder: Path, models: Path) -> Case:
    """Read a recipe's data.

    Raises:
        ConfigError: see `models.workflow.data.read_examples`.
    """
    examples = read_examples(recipe.data, recipe.task, recipe.size)
    return Case(recipe, text, examples, folder / recipe.name, models)


def take_step(step: Step, case: Case) -> Verdict:
    """Do one step and write down how it ended.

    Raises:
        ConfigError: the step before was not passed with these data, or the disk is full.
    """
    order = list(STEPS)
    before = order[order.index(step) - 1] if step != order[0] else None
    if before is not None:
        last = read_verdict(before, case)
        if last is None or not last.passed:
            got = "one that was not passed" if last is not None else "none with these data and this recipe"
            raise ConfigError(f"step {step}: want step {before} passed before, got {got}; take that step first")
    with writable(case.folder):
        case.folder.mkdir(parents=True, exist_ok=True)
        sweep(case.folder)
        verdict = STEPS[step](case)
        stamp = case.stamp_of(step)
        record = {"stamp": stamp, "passed": verdict.passed, "words": verdict.words, "figures": verdict.figures}
        write_file(case.folder / f"{step}.json", json.dumps(record, indent=1).encode())
    return verdict


def read_verdict(step: Step, case: Case) -> Verdict | None:
    """Return how a step ended; None where it was not taken, or with other data or another net."""
    try:
        record = json.loads((case.folder / f"{step}.json").read_text("utf-8"))
        right = record["stamp"] == case.stamp_of(step)
        return Verdict(record["passed"], record["words"], record["figures"]) if right else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def split(case: Case) -> Verdict:
    """Divide the examples into train, eval and test; what is there twice stays on one side."""
    recipe, x = case.recipe, case.examples.x
    strata, groups = _strata(case.examples, recipe), _same(x)
    names = _names(case.examples, recipe, strata)
    rest, test = split_rows(strata, groups, recipe.test_share, recipe.seed, names)
    share = min(0.5, recipe.eval_share / (1 - recipe.test_share))
    train, held = split_rows(strata[rest], groups[rest], share, recipe.seed, names)
    rows: dict[str, NDArray[np.int64]] = {"train": rest[train], "eval": rest[held], "test": test}
    write_arrays(case.folder / "split.npz", **rows)
    owners = [set(groups[part].tolist()) for part in rows.values()]
    shared = len(owners[0] & owners[1]) + len(owners[0] & owners[2]) + len(owners[1] & owners[2])
    kinds = [set(strata[part].tolist()) for part in rows.values()]
    doubles = len(groups) - len(set(groups.tolist()))
    words = ", ".join(f"{len(part)} {name}" for name, part in rows.items()) + f", {doubles} duplicates kept together"
    if shared or any(kind != kinds[0] for kind in kinds):
        return Verdict(False, f"{words}; {shared} straddle, or a class is not in every part; add examples", {})
    return Verdict(True, words, {"duplicates": doubles, **{name: len(part) for name, part in rows.items()}})


def vectorise(case: Case) -> Verdict:
    """Scale by what the training part holds, and look at what comes out."""
    x, y = case.part("train")
    pictures = case.examples.pictures
    scaling = fit_scaling(None if pictures else x, y if case.recipe.task == "regression" else None)
    write_arrays(case.folder / "scaling.npz", **dataclasses.asdict(scaling))
    if pictures:
        low, high = int(x.min()), int(x.max())
        passed = high > low and (high > 1)
        words = f"{len(x)} pictures {x.shape[1:]}, pixels {low}..{high}, divided by 255 inside the model"
        todo = "" if passed else "; want pixels 0..255 that differ: were they scaled to 0..1 before?"
        return Verdict(passed, words + todo, {"low": low, "high": high})
    scaled = scaling.apply(x)
    varied = scaled.std(axis=0) > 0
    mean, deviation = float(np.abs(scaled.mean(axis=0)).max()), float(np.abs(scaled[:, varied].std(axis=0) - 1).max())
    held = scaling.apply(case.part("eval")[0])
    far = float(np.abs(held.mean(axis=0)).max())
    passed = bool(np.isfinite(scaled).all() and mean < 1e-2 and deviation < 1e-2 and varied.any())
    words = (
        f"{x.shape[1]} numbers -> mean 0 to {mean:.1g}, deviation 1 to {deviation:.1g}; answers {y.shape[1:]}; "
        f"{int((~varied).sum())} constant columns; the eval part's mean is off by {far:.2f} deviations at most"
    )
    return Verdict(passed, words + ("" if passed else "; look for columns that are broken"), {"eval_mean": far})


def baseline(case: Case) -> Verdict:
    """Train a single layer; it must beat the best answer that looks at nothing."""
    from models.workflow.nets import small_net

    recipe = case.recipe
    answers, history = _trained(case, "baseline", lambda: small_net(recipe, case.examples, case.scaling()))
    (_, y_train), (_, y) = case.part("train"), case.part("eval")
    own, blind = scores(recipe.task, y, answers), scores(recipe.task, y, chance(recipe.task, y_train, len(y)))
    gain, error = better_by(own, blind)
    words = f"{_said(recipe, own)}, by chance {_said(recipe, blind)}; better by {gain / max(error, 1e-12):.1f} errors"
    passed = gain > _ERRORS * error
    todo = "; want more than 2: are the answers in the data at all? look at examples, labels and scaling"
    if _cut_off(recipe, history):
        done = len(history["val_loss"])
        todo = f"; want more than 2, but the eval loss was still falling in epoch {done}: raise epochs or learning_rate"
    return Verdict(
        passed, words + ("" if passed else todo), {"score": float(own.mean()), "chance": float(blind.mean())}
    )


def overfit(case: Case) -> Verdict:
    """Train a large net with nothing to hold it back, until the eval loss has stopped falling."""
    from models.workflow.nets import large_net

    recipe = case.recipe
    answers, history = _trained(case, "overfit", lambda: large_net(recipe, case.examples, case.scaling(), False))
    lowest = min(history["val_loss"])
    learnt = history["loss"][-1]
    own = scores(recipe.task, case.part("eval")[1], answers)
    best, last = int(np.argmin(history["val_loss"])) + 1, history["val_loss"][-1]
    words = (
        f"training loss {learnt:.3g}; eval loss {last:.3g} in epoch {len(history['loss'])}, after its lowest of "
        f"{lowest:.3g} in epoch {best}, with {_said(recipe, own)}"
    )
    passed = not _cut_off(recipe, history) and learnt < _GAP * lowest and learnt < history["loss"][best - 1]
    todo = "; want the eval loss to stop falling while the training loss goes on: raise units or epochs"
    figures = {"score": float(own.mean()), "eval_loss": lowest, "training_loss": learnt}
    return Verdict(passed, words + ("" if passed else todo), figures)


def regularise(case: Case) -> Verdict:
    """Train the large net held back; then, and only then, read the test part."""
    from models.workflow.nets import large_net

    recipe = case.recipe
    scaling = case.scaling()
    answers, _ = _trained(case, recipe.name, lambda: large_net(recipe, case.examples, scaling, True), case.models)
    free, _ = _trained(case, "overfit", lambda: large_net(recipe, case.examples, scaling, False))
    plain, _ = _trained(case, "baseline", lambda: small_net_of(case))
    y = case.part("eval")[1]
    own, before, least = (scores(recipe.task, y, each) for each in (answers, free, plain))
    luck = chance_of_worse(own, before), chance_of_worse(own, least)
    passed = min(luck) >= _ALPHA / len(luck)
    words = (
        f"{_said(recipe, own)}; overfitting, at its best, {_said(recipe, before)} (p {luck[0]:.2g}); "
        f"baseline {_said(recipe, least)} (p {luck[1]:.2g})"
    )
    if not passed:
        todo = f"; want no more examples worse than luck explains, p of {_ALPHA / len(luck):g}: "
        return Verdict(False, f"{words}{todo}less dropout or l2, or more data", {})
    tested, nets = _tested(case)
    words += f"; test: {_said(recipe, np.array([tested], np.float32))}, model in {case.models / recipe.name}"
    if nets > 1:
        words += f"; the test part was shown to {nets} nets by now: chosen by it, the figure flatters"
    return Verdict(True, words, {"score": float(own.mean()), "test": tested, "nets_tested": nets})


class _Tested(msgspec.Struct):
    """What was read of the test part: stamp of the nets -> mean score."""

    stamp: str
    nets: dict[str, float]


def _tested(case: Case) -> tuple[float, int]:
    """Return the mean score on the test part, read once for each net, and how many nets it was shown to."""
    path = case.models / case.recipe.name
    record = case.folder / "test.json"
    try:
        kept = msgspec.json.decode(record.read_bytes(), type=_Tested)
    except (OSError, ValueError, RecursionError):  # none yet, or damaged
        kept = _Tested("", {})
    nets = kept.nets if kept.stamp == case.stamp else {}
    net = (path / STAMP_FILE).read_text("utf-8")
    if net not in nets:
        x, truth = case.part("test")
        nets[net] = float(scores(case.recipe.task, truth, _ask(path, x)).mean())
        write_file(record, json.dumps({"stamp": case.stamp, "nets": nets}).encode())
    return nets[net], len(nets)


STEPS: Mapping[Step, Callable[[Case], Verdict]] = {
    "split": split,
    "vectorise": vectorise,
    "baseline": baseline,
    "overfit": overfit,
    "regularise": regularise,
}
"""In the order in which they are taken."""


def _cut_off(recipe: WorkflowRecipe, history: Mapping[str, list[float]]) -> bool:
    """Tell whether a training ended before its eval loss had stopped falling."""
    losses = history["val_loss"]
    return len(losses) - (int(np.argmin(losses)) + 1) < recipe.patience


def _relevant(recipe: WorkflowRecipe, net: str) -> WorkflowRecipe:
    """Return the recipe without the keys that do not matter to a net: those of `Case.stamp`, and what it has not."""
    if net == "baseline":
        return msgspec.structs.replace(recipe, name="", data="", units=0, dropout=0.0, l2=0.0)
    if net == "overfit":
        return msgspec.structs.replace(recipe, name="", data="", dropout=0.0, l2=0.0)
    return recipe


def small_net_of(case: Case) -> Any:
    """Build the baseline's net."""
    from models.workflow.nets import small_net

    return small_net(case.recipe, case.examples, case.scaling())


def _trained(case: Case, name: str, build: Callable[[], Any], folder: Path | None = None) -> tuple[F32, Any]:
    """Train a net, or take it as it was trained; return its answers to the eval part, and its history."""
    from models.training.augment import epochs_of
    from models.training.run import Job, train

    recipe = case.recipe
    x, y = case.part("train")
    held = case.part("eval")
    job = Job(
        name=name,
        recipe=case.text,
        made_from=fingerprint(
            _relevant(recipe, name) if folder is None else recipe,
            case.stamp,
            *dataclasses.asdict(case.scaling()).values(),
        ),
        build=build,
        train=epochs_of(x, y, recipe.batch, recipe.seed),
        valid=held,
        epochs=recipe.epochs,
        patience=recipe.patience,
        seed=recipe.seed,
        folder=folder or case.folder / "models",
    )
    result = train(job)
    return _ask(result.path, held[0]), result.history


def _ask(path: Path, x: NDArray[Any]) -> F32:
    from models.training.run import load_trained

    answers: F32 = load_trained(path).predict(x, batch_size=256, verbose=0)
    return answers


def _said(recipe: WorkflowRecipe, values: F32) -> str:
    kind = KINDS[recipe.task]
    mean = float(values.mean())
    return f"{kind.score} {mean:.1%}" if kind.unit == "%" else f"mean absolute error {-mean:.4g}"


def _same(x: NDArray[Any]) -> NDArray[np.int64]:
    """Number the examples so that equal ones have one number: int64 (N,)."""
    flat = np.ascontiguousarray(x.reshape(len(x), -1))
    keys = [row.tobytes() for row in flat]
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(key, number) for number, key in enumerate(keys)], np.int64)


def _strata(examples: Examples, recipe: WorkflowRecipe) -> NDArray[np.int64]:
    """Return what must be as frequent in every part: classes, sets of labels, or fifths of the answers' range."""
    y = examples.y
    if recipe.task in ("binary", "multiclass"):
        classes: NDArray[np.int64] = (y[:, 0] if recipe.task == "binary" else y.argmax(axis=1)).astype(np.int64)
        return classes
    if recipe.task == "multilabel":
        _, rows, counts = np.unique(y, axis=0, return_inverse=True, return_counts=True)
        few = counts[rows.reshape(-1)] < _LEAST
        numbers = rows.reshape(-1).astype(np.int64)
        numbers[few] = -1  # rare sets are one stratum
        if 0 < few.sum() < _LEAST:
            numbers[few] = np.bincount(numbers[~few]).argmax()
        strata: NDArray[np.int64] = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
        return strata
    edges = np.quantile(y[:, 0], (0.2, 0.4, 0.6, 0.8))
    fifths: NDArray[np.int64] = np.unique(np.searchsorted(edges, y[:, 0]), return_inverse=True)[1].astype(np.int64)
    return fifths


def _names(examples: Examples, recipe: WorkflowRecipe, strata: NDArray[np.int64]) -> tuple[str, ...]:
    """Name each of `_strata`."""
    if recipe.task in ("binary", "multiclass"):
        return examples.names
    numbers = range(int(strata.max()) + 1)
    if recipe.task != "multilabel":
        return tuple(f"'answers, part {number + 1} of {len(numbers)} by size'" for number in numbers)
    firsts = (examples.y[strata == number][0] for number in numbers)
    return tuple(
        "'" + "|".join(name for name, one in zip(examples.names, first, strict=True) if one) + "' or alike"
        for first in firsts
    )


_LEAST = 15
"""Examples of a set of labels from which it can be in every part."""
