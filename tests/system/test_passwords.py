"""`edge-run` for real, given addresses of every form: the password is in nothing that it prints or writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import Bundle

ROOT = Path(__file__).parents[2]

ADDRESSES = (
    "rtmp://u:s3cret@127.0.0.1:9/x",
    "rtsp://u:s3cret@127.0.0.1:9/x",
    "rtsps://u:a@s3cret@127.0.0.1:9/x",
    "http://u:s3cret@127.0.0.1:9/x",
    "https://127.0.0.1:9/x?user=s3cret&pwd=s3cret",
    "srt://127.0.0.1:9?passphrase=s3cret",
    "rtsp://u:my s3cret@127.0.0.1:9/x",
    "rtsp://u:a/s3cret@127.0.0.1:9/x",
    "u:s3cret@127.0.0.1/x",
    "127.0.0.1/x?user=u;password=s3cret",
    "0?user=u&pwd=s3cret",
    "picamera:9?user=u&pwd=s3cret",
    "rtmp://127.0.0.1/x.jpg?token=s3cret",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_password_is_printed(address: str, detector: Bundle, embedder: Bundle, tmp_path: Path) -> None:
    bundles = ["--detector", str(detector.path), "--embedder", str(embedder.path)]
    (tmp_path / "empty").mkdir()
    (tmp_path / "c.toml").write_text(f'source = "{address}"\nsinks = ["video:{address}"]\n')
    commands = [
        ["--source", address, "--profile", "p.json"],
        ["--source", str(tmp_path / "empty"), "--sink", address],
        ["--source", str(tmp_path / "empty"), "--sink", f"jsonl:{address}"],
        [str(tmp_path / "c.toml")],
        [address],
        ["--frames", address],
        ["--sorce", address],
        ["--matcher", address, "--source", "0"],
    ]
    # one child for all: each start of Python and OpenCV takes half a second
    code = f"""
import sys
from edge.cli import main_run
for words in {commands!r}:
    sys.argv = ["edge-run", *{bundles!r}, *words]
    try:
        code = main_run()
    except SystemExit as end:
        code = end.code
    print("code", code)
"""
    work = tmp_path / "empty"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=work,
        env=environment,
    )
    assert "s3cret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    codes = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("code")]
    assert len(codes) == len(commands), done.stderr
    assert "0" not in codes
    for file in work.rglob("*"):
        assert "s3cret" not in str(file)
        assert "s3cret" not in file.read_text()
