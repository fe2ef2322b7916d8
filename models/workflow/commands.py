"""`python -m models new` and `python -m models step`."""

import argparse
from pathlib import Path
from typing import get_args

from models.workflow.kinds import KINDS, Task


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands to those of `python -m models`."""
    table = "\n".join(f"  {task:<16} {kind.activation:<8} {' or '.join(kind.losses)}" for task, kind in KINDS.items())
    new = commands.add_parser(
        "new", help="write the starter recipe of a new model", epilog=f"last activation and loss:\n{table}",
        description="Write a starter recipe with the last activation and the loss that fit the kind of problem.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    new.add_argument("--task", required=True, choices=get_args(Task), help="kind of problem")
    new.add_argument("--data", default="data", metavar="PLACE", help="folder, .csv or .npz (default: %(default)s)")
    new.add_argument("--name", metavar="NAME", help="of the model (default: my-TASK)")
    new.add_argument("--out", type=Path, metavar="FILE", help="the recipe (default: NAME.toml)")
    new.set_defaults(run=_new)
    step = commands.add_parser(
        "step", help="take a step of the workflow, or all: split, vectorise, baseline, overfit, regularise",
        description="Take a step of the workflow. Ends with 0 if it was passed, 1 if not.",
    )  # fmt: skip
    step.add_argument("step", choices=("split", "vectorise", "baseline", "overfit", "regularise", "all"))
    step.add_argument("recipe", type=Path, metavar="RECIPE", help="written by: python -m models new")
    step.add_argument("--work", type=Path, metavar="DIR", help="what the steps keep (default: build/workflow)")
    step.add_argument("--out", type=Path, metavar="DIR", help="where the model lands (default: build/models)")
    step.set_defaults(run=_step, keras=True)


def _new(options: argparse.Namespace) -> int:
    from models.workflow.recipe import write_starter

    name = f"my-{options.task}" if options.name is None else options.name
    path = options.out or Path(f"{name}.toml")
    write_starter(path, name, options.task, options.data)
    kind = KINDS[options.task]
    print(f"{path}: last activation {kind.activation}, loss {kind.losses[0]}; next: python -m models step split {path}")
    return 0


def _step(options: argparse.Namespace) -> int:
    from models.training.recipe import read_recipe
    from models.workflow.recipe import WorkflowRecipe
    from models.workflow.steps import FOLDER, STEPS, open_case, take_step

    recipe = read_recipe(options.recipe, WorkflowRecipe)
    text = options.recipe.read_text("utf-8")
    case = open_case(recipe, text, options.work or FOLDER, options.out or Path("build/models"))
    for words in case.examples.words:
        print(words)
    for step in STEPS if options.step == "all" else (options.step,):
        verdict = take_step(step, case)
        print(f"{step}: {'passed' if verdict.passed else 'NOT PASSED'}: {verdict.words}", flush=True)
        if not verdict.passed:
            return 1
    return 0
