"""The recipe of a model that goes through the steps of the workflow, and the starter that `models new` writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge.errors import ConfigError
from edge.settings import BelowOne, Count, NotNegative, Place, PlainName, Seed
from edge.whole import sweep, write_file
from models.training.archive import writable
from models.training.recipe import Part, plain_name
from models.workflow.kinds import KINDS, Task

_Part = Annotated[float, msgspec.Meta(gt=0, le=0.4)]
"""Of the data, that does not train: with two of 0.4 a fifth would be left to learn from."""


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
        units: of the hidden layers of the model that must overfit, 8 at least: its convolutions have an eighth to a
            half of it.
        dropout: of the regularised model.
        l2: weight of the squares of the weights in its loss.
        learning_rate: of Adam; the baseline's is ten times that on numbers, up to 0.01.
        batch: examples in a step.
        epochs: at most, of every training.
        patience: epochs without a lower evaluation loss.
    """

    name: PlainName
    task: Task
    data: Place
    last_activation: Literal["sigmoid", "softmax", "linear"]
    loss: str
    size: Annotated[int, msgspec.Meta(ge=16, le=4096)] = 64
    eval_share: _Part = 0.2
    test_share: _Part = 0.2
    seed: Seed = 0
    units: Annotated[int, msgspec.Meta(ge=8, le=16_384)] = 256
    dropout: BelowOne = 0.4
    l2: NotNegative = 1e-4
    learning_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 1e-3
    batch: Count = 64
    epochs: Count = 300
    patience: Count = 8

    def complaints(self) -> Iterator[str]:
        """See `Part.complaints`."""
        kind = KINDS[self.task]
        if self.last_activation != kind.activation:
            yield (
                f"last_activation: want '{kind.activation}' for {self.task}, as the answer is {kind.words}, got "
                f"'{self.last_activation}'; correct it"
            )
        if self.loss not in kind.losses:
            yield f"loss: want {' or '.join(kind.losses)} for {self.task}, got '{self.loss}'; correct it"
        if 2 * self.eval_share + self.test_share > 1 + 1e-9:
            yield (
                f"eval_share: want at most half of what test_share {self.test_share:g} leaves, got "
                f"{self.eval_share:g}; lower one of them"
            )


def write_starter(path: Path, name: str, task: Task, data: str) -> None:
    """Write the recipe that a new model begins with.

    Raises:
        ConfigError: a name that is no plain word, a place that is no text, there is a file of that name, or it cannot
            be written.
    """
    plain_name(name, "new model")
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
