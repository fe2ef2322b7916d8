"""`make kill`: kill -9 at random moments of an install, a run, a conversion and a training; nothing may be lost.

Prints one line for each part: kills, what was lost, and the bytes that were left once a whole run had followed.
Ends with code 1 if anything was lost or left.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.kill.part import Part, Process, left_bytes, left_over

KILLS = 60
TRIES = 4
"""Runs for each kill at most: a run may end before its moment comes."""

HELP = """Kill -9 at random moments of `edge bundle install`, `edge-run`, `python -m converters convert` and a training.

After each kill every bundle and model that was whole must be there whole, the old version or the new one, and every
result of every run, but for the frame in hand; after one
more run nothing but results may be left, in their folder and in TMPDIR. The moments are spread over the length of one
run, which is measured first; 60 kills of each part take 10 to 15 minutes on two cores, most of it for TensorFlow's
start in each conversion."""


def parts() -> dict[str, Callable[[Path], Part]]:
    """Return what can be killed; the imports are heavy, so each is made when it is its turn."""
    from tests.kill.conversion import Conversion
    from tests.kill.install import Install
    from tests.kill.sinks import Sinks
    from tests.kill.training import Training

    return {"install": Install, "sinks": Sinks, "training": Training, "conversion": Conversion}


def kill_often(part: Part, kills: int, random_moment: random.Random) -> tuple[int, list[str], list[Path]]:
    """Kill one part many times.

    Args:
        part: freshly made.
        kills: how many times.
        random_moment: chooses the moments.

    Returns:
        How many kills there were, what was lost, and what was left after a whole run had followed.
    """
    seconds = _timed(part)
    known = part.listing()
    lost: list[str] = []
    done = 0
    for _ in range(TRIES * kills):
        if done == kills:
            break
        process = part.start()
        if not process.ended_within(random_moment.uniform(0, seconds)):
            process.kill()
            done += 1
            lost += [f"kill {done}: {words}" for words in part.lost()]
        elif process.code:
            lost.append(f"after kill {done}: a run ended with code {process.code}; {process.words()}")
    _timed(part)
    lost += [f"after the last run: {words}" for words in part.lost()]
    return done, lost, left_over(part, known)


def _timed(part: Part) -> float:
    """Let a run end, and return the seconds it took."""
    began = time.monotonic()
    process: Process = part.start()
    if not process.ended_within(600) or process.code:
        process.kill()
        raise SystemExit(f"{part.name}: want a run that ends well, got code {process.code}; {process.words()}")
    return time.monotonic() - began


def main() -> int:
    """Kill what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser("tests.kill", description=HELP, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS, metavar="N", help="of each part (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=list(parts()), default=list(parts()), help="default: all")
    options = parser.parse_args()
    bad = False
    for name in options.parts:
        with tempfile.TemporaryDirectory(prefix="edge-kill-") as folder:
            home = Path(folder)
            (home / "tmp").mkdir()
            os.environ["TMPDIR"] = str(home / "tmp")
            tempfile.tempdir = None
            began = time.monotonic()
            try:
                part = parts()[name](home)
                done, lost, left = kill_often(part, options.kills, random.Random(f"{options.seed} {name}"))
                size = sum(left_bytes(path) for path in left)
            finally:
                del os.environ["TMPDIR"]
                tempfile.tempdir = None
        bad = bad or bool(lost or left) or done < options.kills
        print(
            f"{name:<11} kills {done:>3}   lost {len(lost):>3}   left {len(left):>3}, {size:>11,} bytes   "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )
        for words in [*lost[:20], *(f"left {path.relative_to(home)}" for path in left[:20])]:
            print(f"    {words}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
