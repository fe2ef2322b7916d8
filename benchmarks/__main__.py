"""Run all benchmarks one after the other: `python -m benchmarks`."""

import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks import footprint, overhead, sinks
from edge.errors import EdgeError

PEERS = Path("build/bench-venv")
"""The peers get a virtual environment of their own: none of them is a dependency of this project."""

PEER_PACKAGES = ("supervision==0.26.1", "numpy", "opencv-python", "msgspec", "tqdm")


def main() -> int:
    """Print every benchmark; returns the exit code."""
    print(f"{datetime.date.today()}  {platform.machine()}  {_processor()}  {len(os.sched_getaffinity(0))} cores")
    print("  ".join(f"{name} {version(name)}" for name in ("numpy", "opencv-python", "ai-edge-litert", "onnxruntime")))
    try:
        sinks.main(overhead.main())
        footprint.main()
    except EdgeError as error:
        print(f"benchmarks: {error}; 'make demo' makes what this needs", file=sys.stderr)
        return error.exit_code
    python = _peer_python()
    return subprocess.run([python, "-m", "benchmarks.association"], check=False).returncode


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else "unknown processor"


def _peer_python() -> Path:
    """Return the Python of the peers' environment, made on first use."""
    python = PEERS / "bin" / "python"
    done = PEERS / "installed"
    if not done.exists():
        print(f"installing {PEER_PACKAGES[0]} into {PEERS} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", "constraints.txt"]
        subprocess.run([*pip, *PEER_PACKAGES], check=True)
        done.touch()
    return python


if __name__ == "__main__":
    sys.exit(main())
