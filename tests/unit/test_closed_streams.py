"""Standard output and error that the caller closed, as `1>&-` and `2>&-` do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def closed(number: int, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code without one of its three streams."""
    words = ["sh", "-c", f'exec "$0" -c "$1" {number}>&-', sys.executable, code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_a_bar_is_silent_without_standard_error() -> None:
    code = (
        "import sys; from edge.sinks.progress import ProgressSink; assert sys.stderr is None\n"
        "with ProgressSink(3, live=False) as bar: bar.write(None)\n"
        "print('done')"
    )
    done = closed(2, code)
    assert (done.returncode, done.stdout) == (0, "done\n")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_command_gives_no_file_the_number_of_a_closed_stream(tmp_path: Path, number: int) -> None:
    told = tmp_path / "told.txt"
    code = (
        "import os, sys; from edge.cli import main_run\n"
        "code = main_run(['--camera'])\n"
        f"place, leads_to = open({str(told)!r}, 'w'), os.readlink('/proc/self/fd/{number}')\n"
        "print(place.fileno(), code, leads_to, file=place)"
    )
    done = closed(number, code)
    assert done.returncode == 0, done.stderr
    descriptor, exit_code, leads_to = told.read_text().split()
    assert int(descriptor) > 2
    assert exit_code == "2"
    assert leads_to == "/dev/null"
    assert done.stdout == "", "an error for a closed standard error is not printed among results"
