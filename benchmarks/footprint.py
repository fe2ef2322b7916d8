"""Memory and start of `edge-run` on a file: resident memory at its peak, and process start to the first result."""

import json
import statistics
import subprocess
import sys
import time

LIMIT_MB, LIMIT_S = 200.0, 1.5
_RUN = "import sys; from edge.cli import main_run; sys.exit(main_run())"
_RUN_AND_WEIGH = (
    "import resource, sys; from edge.cli import main_run; main_run(); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)"
)


def main() -> None:
    """Print the figures."""
    from models.weights import fetch

    film = str(fetch("vtest"))
    starts = []
    for _ in range(7):
        before = time.perf_counter()
        command = [sys.executable, "-c", _RUN, "--source", film, "--frames", "3", "--sink", "jsonl:-"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            json.loads(process.stdout.readline())
            starts.append(time.perf_counter() - before)
    command = [sys.executable, "-c", _RUN_AND_WEIGH, "--source", film, "--frames", "200", "--sink", "null:"]
    weighed = subprocess.run(command, capture_output=True, text=True, check=True)
    peak_mb = float(weighed.stderr.splitlines()[-1])
    start_s = statistics.median(starts)
    print(f"\nprocess start to first result {start_s:.2f} s: {start_s / LIMIT_S:.2f} of the limit {LIMIT_S} s")
    print(f"peak resident memory {peak_mb:.0f} MB: {peak_mb / LIMIT_MB:.2f} of the limit {LIMIT_MB:.0f} MB")


if __name__ == "__main__":
    main()
