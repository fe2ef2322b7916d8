"""The detector's accuracy on real people, through the command. Needs a ground truth that is not ours to ship.

Set EDGE_EVAL_DATA to a folder with `pets09-s2l1/gt.txt` (MOTChallenge 2015, sequence PETS09-S2L1: the same film as
OpenCV's vtest.avi), and run `make convert` first.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.accuracy import detection, read_result, read_truth
from models.weights import CACHE

TRUTH = Path(os.environ.get("EDGE_EVAL_DATA", "absent")) / "pets09-s2l1" / "gt.txt"
BUNDLES, FILM = Path("build/bundles"), CACHE / "vtest" / "vtest.avi"


@pytest.mark.skipif(not TRUTH.is_file(), reason="EDGE_EVAL_DATA names no folder with pets09-s2l1/gt.txt")
@pytest.mark.skipif(not (BUNDLES / "nanodet-416-fp32-tflite").is_dir(), reason="no bundles yet: run 'make convert'")
@pytest.mark.parametrize("variant", ["fp32-tflite", "dynamic-tflite", "fp32-onnx"])
def test_people_are_found(variant: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    words = ["--source", str(FILM), "--classes", "person", "--threshold", "0.05", "--sink", f"jsonl:{out}"]
    words += ["--detector", str(BUNDLES / f"nanodet-416-{variant}"), "--budget-ms", "1"]
    code = "import sys; from edge.cli import main_run; sys.exit(main_run())"
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)
    frames = read_result(out)
    assert len(frames) == 795
    # 0.899 was measured with another port of the same weights (dynamic int8); 0.913 with these bundles.
    assert detection(frames, read_truth(TRUTH), "person") >= 0.89
