"""The recipe of a model that goes through the steps of the workflow, and the starter that `models new` writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edge.errors import ConfigError
from edge.whole import sweep, write_file
from models.training.archive import writable
from models.training.recipe import Part, read_recipe
from models.workflow.kinds import KINDS, Task


class WorkflowRecipe(Part, frozen=True):
    """One model on its way.

    Attributes:
        name: of the model.
        task: kind of problem, see `models.workflow.kinds`.
        data: folder, `.csv` or `.npz`, relative to the working folder; see `models.workflow.data`.
        last_activation: of the last layer.
        loss: of the training.
        size: height and width that pictures are fitted to, pixels.
        eval_share: of the data, to choose by.
        test_share: of the data, read once at the end.
        seed: of the split, of weights and order.
        units: of the hidden layers of the model that must overfit; its convolutions have an eighth to a half of it.
        dropout: of the regularised model.
        l2: weight of the squares of the weights in its loss.
        learning_rate: of Adam; the baseline's is ten times that on numbers, up to 0.01.
        batch: examples in a step.
        epochs: at most, of every training.
        patience: epochs without a lower evaluation loss.
    """

    name: str
    task: Task
    data: str
    last_activation: Literal["sigmoid", "softmax", "linear"]
    loss: str
    size: int = 64
    eval_share: float = 0.2
    test_share: float = 0.2
    seed: int = 0
    units: int = 256
    dropout: float = 0.4
    l2: float = 1e-4
    learning_rate: float = 1e-3
    batch: int = 64
    epochs: int = 300
    patience: int = 8


def read_workflow(path: Path) -> WorkflowRecipe:
    """Read and check a recipe.

    Raises:
        ConfigError: not readable, an unknown key, a value out of its range, or an activation or a loss that does not
            fit the task.
    """
    recipe = read_recipe(path, WorkflowRecipe)
    for complaint in _complaints(recipe):
        raise ConfigError(f"recipe {path}: {complaint}")
    return recipe


def write_starter(path: Path, name: str, task: Task, data: str) -> None:
    """Write the recipe that a new model begins with.

    Raises:
        ConfigError: a name that is no plain word, a place that is no text, there is a file of that name, or it cannot
            be written.
    """
    if not _plain(name):
        raise ConfigError(f"name: want a plain word, got {name!r}; it becomes a folder's name")
    if not data or any("\ud800" <= letter <= "\udfff" for letter in data):
        raise ConfigError(f"data: want a path that UTF-8 can write, got {data!r}; rename it")
    kind = KINDS[task]
    others = f"; {' or '.join(kind.losses[1:])} would fit as well" if kind.losses[1:] else ""
    text = (
        f"# {task}: the answer is {kind.words}.\n"
        f"name = {_quoted(name)}\n"
        f'task = "{task}"\n'
        f"data = {_quoted(data)}  # {_DATA[task]}\n"
        f'last_activation = "{kind.activation}"\n'
        f'loss = "{kind.losses[0]}"{"  #" + others[1:] if others else ""}\n'
        "\n"
        "# pictures are fitted into squares of so many pixels\n"
        "size = 64\n"
        "\n"
        "# the rest trains; eval chooses, test is read once at the end\n"
        "eval_share = 0.2\n"
        "test_share = 0.2\n"
        "seed = 0\n"
        "\n"
        "# the model that must overfit; larger if it does not\n"
        "units = 256\n"
        "learning_rate = 0.001\n"
        "batch = 64\n"
        "# at most; a training stops after so many epochs of patience without a lower eval loss\n"
        "epochs = 300\n"
        "patience = 8\n"
        "\n"
        "# what holds it back afterwards\n"
        "dropout = 0.4\n"
        "l2 = 0.0001\n"
    )
    if path.exists():
        raise ConfigError(f"recipe {path}: want a new file, got one that is there; give another --name or remove it")
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        write_file(path, text.encode())


def _plain(name: str) -> bool:
    return bool(name) and name.isprintable() and not set(name) & set("/\\. \"'")


def _quoted(text: str) -> str:
    """Write a string as TOML does, which is as JSON does but for one letter."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


_DATA: dict[Task, str] = {
    "binary": "two folders of pictures, a .csv with the class in the last column, or an .npz with x and y",
    "multiclass": "a folder for each class, a .csv with the class in the last column, or an .npz with x and y",
    "multilabel": "a folder with labels.csv (file,a|b), a .csv with a|b in the last column, or an .npz with x and y",
    "regression": "a folder with labels.csv (file,number), a .csv with the number last, or an .npz with x and y",
    "unit-regression": "a folder with labels.csv (file,0..1), a .csv with the number last, or an .npz with x and y",
}


def _complaints(recipe: WorkflowRecipe) -> Iterator[str]:
    kind = KINDS[recipe.task]
    if not _plain(recipe.name):
        yield f"name: want a plain word, got {recipe.name!r}; it becomes a folder's name"
    if recipe.last_activation != kind.activation:
        yield (
            f"last_activation: want '{kind.activation}' for {recipe.task}, as the answer is {kind.words}, got "
            f"'{recipe.last_activation}'; correct it"
        )
    if recipe.loss not in kind.losses:
        yield f"loss: want {' or '.join(kind.losses)} for {recipe.task}, got '{recipe.loss}'; correct it"
    for name in ("eval_share", "test_share"):
        if not 0 < getattr(recipe, name) <= 0.4:
            yield f"{name}: want above 0 and at most 0.4, got {getattr(recipe, name):g}; correct it"
    if 2 * recipe.eval_share + recipe.test_share > 1 + 1e-9:
        yield (
            f"eval_share: want at most half of what test_share {recipe.test_share:g} leaves, got "
            f"{recipe.eval_share:g}; lower one of them"
        )
    for name, least in (("size", 16), ("units", 8), ("batch", 1), ("epochs", 1), ("patience", 1)):
        if getattr(recipe, name) < least:
            yield f"{name}: want at least {least}, got {getattr(recipe, name)}; correct it"
    if not (0 <= recipe.dropout < 1 and recipe.l2 >= 0 and 0 < recipe.learning_rate < 1):
        yield "dropout, l2, learning_rate: want 0..1, 0 or more, and above 0 and below 1; correct them"
