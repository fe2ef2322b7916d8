"""`python -m tests.mistakes`: make the mistakes of a seed, print what is wrong with the answers; 1 if anything is."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from unittest import mock

from tqdm import tqdm

from tests.mistakes.cut import cut_file
from tests.mistakes.judge import Case, judged
from tests.mistakes.words import odd_sinks, wrong_command, wrong_config, wrong_flag
from tests.mistakes.world import World, make_world

KINDS: dict[str, Callable[[Random, World], Case]] = {
    "flags": wrong_flag,
    "configs": wrong_config,
    "commands": wrong_command,
    "cut files": cut_file,
}
"""Kind -> what makes one case of it. A case may write what it needs into the world's folder."""


RECIPES = "recipes"
"""The kind of the workstation, whose cases are made by `tests.fuzz.recipes`."""
SINKS = "sinks"
"""The kind that is no matter of chance: each kind of output with each odd path, once."""
ALL = (*KINDS, SINKS, RECIPES)


def run(seed: int, count: int, folder: Path, kinds: Sequence[str] = tuple(KINDS)) -> tuple[Counter[str], list[str]]:
    """Make mistakes, each kind in turn; returns how many of each kind, and a line for each wrong answer.

    Args:
        seed: decides all mistakes.
        count: of the kinds in `KINDS`; those of `SINKS` come on top.
        folder: to make them in.
        kinds: some of `KINDS` and `SINKS`.
    """
    world = make_world(folder / "world")
    counts: Counter[str] = Counter()
    wrong = []
    places = {"HOME": str(folder / "home"), "XDG_DATA_HOME": str(folder / "data"), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with mock.patch.dict(os.environ, places):
        for kind, number, case in tqdm(_cases(seed, count, world, kinds), unit=" mistakes", disable=None):
            fault = judged(case, world.folder)
            counts[kind] += 1
            if fault:
                wrong.append(f"{kind} {number}: {case.name!a:.100}: {fault}")
    return counts, wrong


def _cases(seed: int, count: int, world: World, kinds: Sequence[str]) -> Iterator[tuple[str, int, Case]]:
    """Yield kind, number and case. Each is made when the one before was judged, since it may write what it needs."""
    drawn = [kind for kind in kinds if kind in KINDS]
    for number in range(count if drawn else 0):
        kind = drawn[number % len(drawn)]
        yield kind, number, KINDS[kind](Random(f"{seed}:{kind}:{number}"), world)
    for number, case in enumerate(odd_sinks(world) if SINKS in kinds else ()):
        yield SINKS, number, case


def wrong_recipes(seed: int, count: int) -> list[str]:
    """Make mistakes in recipes and in the workstation's data files; returns a line for each wrong answer."""
    from tests.fuzz.recipes import failures  # imports what trains, which takes seconds

    cuts = count // 3
    return [f"{RECIPES}: {fault}" for fault in failures(seed, count - cuts, cuts)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 if an answer is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.mistakes", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="decides all mistakes (default: %(default)s)")
    parser.add_argument("--count", type=int, default=1500, metavar="N", help="of all kinds (default: %(default)s)")
    parser.add_argument("--kind", default=",".join(ALL), metavar="A,B", help="(default: %(default)s)")
    flags = parser.parse_args(arguments)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edge-mistakes-", ignore_cleanup_errors=True) as folder:
        chosen = flags.kind.split(",")
        share = flags.count // len(chosen) if RECIPES in chosen else 0
        ours = [kind for kind in chosen if kind in (*KINDS, SINKS)]
        counts, wrong = run(flags.seed, flags.count - share, Path(folder), ours)
        if share:
            wrong += wrong_recipes(flags.seed, share)
            counts[RECIPES] = share
    print("\n".join([*wrong, ", ".join(f"{kind} {n}" for kind, n in counts.items())]))
    print(
        f"{len(wrong)} of {sum(counts.values())} answered wrongly; seed {flags.seed}, {time.monotonic() - begin:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
