"""A training of seconds, over a model of another recipe: the old model, the new one, or a state to go on from."""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from models.training.archive import finished
from models.training.run import Job, train, work_folder
from tests.kill.part import Process, names_in
from tests.unit.tiny_training import tiny_job

EPOCHS = 6


class Training:
    """Two recipes in turn; one that was killed goes on until it is finished.

    Keras is imported once, here, and every run is forked from it before it computed anything.
    """

    name = "training"

    def __init__(self, home: Path) -> None:
        self._home = home
        self.results = home / "models"
        self._jobs = [tiny_job(self.results, EPOCHS, made_from=f"recipe {version}") for version in range(2)]
        self._turn = 0
        self._epochs = 0

    def start(self) -> Process:
        if finished(self._job.path, self._job.stamp):
            self._turn += 1
            self._epochs = 0
        job = self._job
        return Process(lambda: _train(job), self._home / "output")

    def listing(self) -> set[Path]:
        return names_in(self.results, self._home / "tmp")

    def lost(self) -> list[str]:
        """A finished model may be of either recipe; an unfinished run never knows fewer epochs than before."""
        words = []
        path = self._job.path
        if not any(finished(path, job.stamp) for job in self._jobs):
            words.append("tiny: neither the old model nor the new one is whole")
        work = work_folder(path)
        if (work / "state.json").is_file() and not finished(path, self._job.stamp):
            state = json.loads((work / "state.json").read_text())
            if state["stamp"] == self._job.stamp:
                words += [
                    f"tiny: {state[name]} is gone"
                    for name in ("weights", "best_weights")
                    if not (work / state[name]).is_file()
                ]
                if state["epoch"] < self._epochs:
                    words.append(f"tiny: want {self._epochs} epochs kept, got {state['epoch']}")
                self._epochs = state["epoch"]
        return words

    @property
    def _job(self) -> Job:
        return self._jobs[self._turn % 2]


def _train(job: Job) -> int:
    train(job)
    return 0
