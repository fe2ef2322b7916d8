"""`models pairs review`: a page on this machine alone, where a person confirms, flips or deletes pairs by keyboard.

What is decided is done on disk at once, by renaming a folder: a flipped pair moves between YES and NO, a deleted one
to DELETED. `review.jsonl` in the same folder remembers all decisions, so that another day goes on where this one
stopped, and any of them can be undone.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, Literal, cast
from urllib.parse import unquote

import msgspec

from edge.errors import ConfigError, LimitError
from edge.limits import read_file
from models.siamese.crops import NO, YES, pictures_in

DELETED = "DELETED"
LOG_FILE = "review.jsonl"
PAGE = Path(__file__).with_name("review.html")
_LARGEST_BODY = 10_000

Action = Literal["confirm", "flip", "delete", "undo"]


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of `review.jsonl`: where the miner put the pair, and what a person said."""

    pair: str
    action: Action


@dataclass(frozen=True)
class Pair:
    """One pair: `origin` is the folder and name that the miner gave it ("YES/00007"), `place` where it is now."""

    origin: str
    place: str
    decision: str = ""


class Review:
    """The pairs of one folder, and what was decided of them."""

    def __init__(self, folder: Path) -> None:
        """Read the pairs and the decisions of earlier days.

        Raises:
            ConfigError: no pairs there, or a damaged log.
        """
        self.folder = folder
        self._lock = Lock()
        places = [f"{kind}/{child.name}" for kind in (YES, NO, DELETED) for child in _folders(folder / kind)]
        if not places:
            raise ConfigError(f"pairs {folder}: want folders YES and NO with pairs, got none; mine some")
        self._pairs = {origin: Pair(origin, place) for place in places for origin in [_origin(place)]}
        for decision in self._read_log():
            if decision.pair in self._pairs:
                word = "" if decision.action == "undo" else decision.action
                self._pairs[decision.pair] = replace(self._pairs[decision.pair], decision=word)

    @property
    def pairs(self) -> list[Pair]:
        """All pairs, YES and NO taking turns, so that the eye does not tire of one answer."""
        kinds: list[list[Pair]] = [[], []]
        for origin in sorted(self._pairs):
            kinds[not origin.startswith(YES)].append(self._pairs[origin])
        turns = max(map(len, kinds))
        return [kind[turn] for turn in range(turns) for kind in kinds if turn < len(kind)]

    def pictures(self, origin: str) -> list[Path]:
        """Return the two pictures of a pair; KeyError where there is no such pair."""
        return pictures_in(self.folder / self._pairs[origin].place)

    def decide(self, origin: str, action: Action) -> Pair:
        """Do what a person said.

        Args:
            origin: of the pair; KeyError where there is none.
            action: what to do; `undo` puts the pair back where the miner had it.

        Raises:
            ConfigError: the disk refuses.
        """
        with self._lock:
            pair = self._pairs[origin]
            kind, name = origin.split("/", 1)
            target = {
                "confirm": origin,
                "undo": origin,
                "flip": f"{NO if kind == YES else YES}/from-{kind}-{name}",
                "delete": f"{DELETED}/from-{kind}-{name}",
            }[action]
            try:
                if target != pair.place:
                    (self.folder / target).parent.mkdir(exist_ok=True)
                    (self.folder / pair.place).rename(self.folder / target)
                with (self.folder / LOG_FILE).open("ab", buffering=0) as log:
                    log.write(msgspec.json.encode(Decision(origin, action)) + b"\n")
            except OSError as error:
                raise ConfigError(f"pairs {self.folder}: want to move {pair.place}, got '{error.strerror}'") from error
            self._pairs[origin] = replace(pair, place=target, decision="" if action == "undo" else action)
            return self._pairs[origin]

    def _read_log(self) -> list[Decision]:
        path = self.folder / LOG_FILE
        if not path.is_file():
            return []
        try:
            whole, _, torn = path.read_bytes().rpartition(b"\n")
            if torn:  # the last decision was cut off by a kill; the next must not be appended to it
                with path.open("rb+") as log:
                    log.truncate(path.stat().st_size - len(torn))
            return [msgspec.json.decode(line, type=Decision) for line in whole.split(b"\n") if line]
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path}: want decisions, got '{error}'; mend or remove the file") from error


def serve(review: Review, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until the process is stopped.

    Args:
        review: the pairs.
        port: on this machine; 0 = any that is free.
        ready: is told the address.

    Raises:
        ConfigError: the port is taken.
    """

    class Handler(_Handler):
        pairs = review

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise ConfigError(f"port {port}: want a free one, got '{error.strerror}'; give another --port") from error
    with server:
        ready(f"http://127.0.0.1:{server.server_address[1]}/")
        server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    """Answers the page's requests; refuses those that another page sends (DNS rebinding, forged forms)."""

    pairs: Review

    def do_GET(self) -> None:
        """Send the page, the list, or a picture: /picture/KIND/NAME/0 or 1."""
        parts = [unquote(part) for part in self.path.partition("?")[0].strip("/").split("/")]
        if not self._from_here():
            return
        if parts == [""]:
            self._send(PAGE.read_bytes(), "text/html; charset=utf-8")
        elif parts == ["pairs"]:
            self._send_json([_words(pair) for pair in self.pairs.pairs])
        elif len(parts) == 4 and parts[0] == "picture" and parts[3] in ("0", "1"):
            try:
                path = self.pairs.pictures(f"{parts[1]}/{parts[2]}")[int(parts[3])]
                kind = "png" if path.suffix.lower() == ".png" else "jpeg"
                self._send(read_file(path), f"image/{kind}")
            except (KeyError, IndexError, OSError, LimitError):
                self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Take one `Decision`."""
        if not self._from_here():
            return
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get_content_type() != "application/json" or not 0 < length <= _LARGEST_BODY:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        try:
            decision = msgspec.json.decode(self.rfile.read(length), type=Decision)
            self._send_json(_words(self.pairs.decide(decision.pair, decision.action)))
        except msgspec.DecodeError:
            self.send_error(HTTPStatus.BAD_REQUEST)
        except KeyError:
            self.send_error(HTTPStatus.NOT_FOUND)
        except ConfigError as error:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of every request."""

    def _from_here(self) -> bool:
        """Tell whether the page's own address was asked; a page of another name is sent away."""
        port = cast("ThreadingHTTPServer", self.server).server_address[1]
        known = {f"127.0.0.1:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in known and (origin is None or origin.removeprefix("http://") in known):
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _send_json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _send(self, data: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)


def _words(pair: Pair) -> dict[str, str]:
    return {"pair": pair.origin, "now": pair.place.split("/", 1)[0], "decision": pair.decision}


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(child for child in place.iterdir() if child.is_dir() and len(pictures_in(child)) == 2)


def _origin(place: str) -> str:
    """Return where the miner had put the pair that is now at `place`."""
    name = place.split("/", 1)[1]
    for kind in (YES, NO):
        if name.startswith(f"from-{kind}-"):
            return f"{kind}/{name.removeprefix(f'from-{kind}-')}"
    return place
