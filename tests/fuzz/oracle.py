"""What is wrong with an outcome. An input that opens as before is as good as one that is refused in a sentence."""

import re
import signal
import unicodedata

from tests.fuzz.case import Attempt, Outcome

MEMORY_MB, SECONDS, KILL_SECONDS = 1024.0, 20.0, 25.0
"""Most memory beside what the whole input takes; longest time; when the watcher ends a case."""

CODES = (0, 2, 3, 4, 5)
CHATTER = "chatter"
"""Column of what libraries write to the screen by themselves: counted and shown, and no failure."""
COLUMNS = ("tracebacks", "memory", "time", "other", CHATTER)

_SENTENCE = re.compile(r"(edge|converters): .+")
_LONGEST = 2000
"""Characters of one sentence."""
_BESIDE = re.compile(
    r"WARNING: .+|source: .+|models: .+|budget: .+|results: .+|running; .+|"
    r"not usable: .+|sha256 of the bundle: [0-9a-f]{64}|stage, ms .+|\d+ frames in .+|\d+ frames: .+|"
    r"(capture_wait|decode|preprocess|detect|  model of \w+|embed|match|sinks|frame|age of result) +\d.*|"
    r"INFO: Created TensorFlow Lite XNNPACK delegate for CPU\."
)
"""Lines that belong to a run: warnings, what it says at its start, the profile's table, the summary."""
_LIBRARY = re.compile(
    r"libpng (warning|error): .+|Corrupt JPEG data: .+|Premature end of JPEG .+|\[ ?(WARN|ERROR|INFO):\d.+|"
    r"\[\w+ @ 0x[0-9a-f]+\] .+|Unexpected (element|list type|frame).+|Invalid SOS .+|Unsupported marker .+|TIFF\w*: .+"
)
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_?alloc|[Uu]nable to allocate|[Oo]ut of memory|Insufficient memory|Failed to allocate", re.I
)
_UNFORESEEN = re.compile(r"an unforeseen (.+)")


def faults(attempt: Attempt, outcome: Outcome, usual_mb: float) -> list[tuple[str, str]]:
    """List what is wrong, as (column, words); empty = all is well.

    Args:
        attempt: the case.
        outcome: what came of it.
        usual_mb: peak of the whole input of the same form.
    """
    return [
        *_crashes(outcome),
        *_resources(outcome, usual_mb),
        *_words(attempt, outcome),
        *[("other", f"left behind or changed: {name}") for name in _left(attempt, outcome)],
        *([("other", f"{outcome.processes} processes outlived it")] if outcome.processes else []),
    ]


def _left(attempt: Attempt, outcome: Outcome) -> list[str]:
    """Return what is left that should not be; at most three."""
    allowed = re.compile(attempt.writes) if attempt.writes and outcome.code == 0 else None
    return [name for name in outcome.left if allowed is None or not allowed.fullmatch(name)][:3]


def _crashes(outcome: Outcome) -> list[tuple[str, str]]:
    if outcome.raised:
        return [("tracebacks", f"{outcome.raised} [{outcome.place}]")]
    if outcome.signal:
        return [("tracebacks", f"ended by {signal.Signals(outcome.signal).name} [{outcome.place}]")]
    unforeseen = _UNFORESEEN.search(outcome.err) or _UNFORESEEN.search(outcome.out)
    if unforeseen:
        return [("tracebacks", f"unforeseen {unforeseen[1]}")]
    if "Traceback (most recent call last)" in outcome.err:
        return [("tracebacks", outcome.err.strip().splitlines()[-1])]
    return []


def _resources(outcome: Outcome, usual_mb: float) -> list[tuple[str, str]]:
    found = []
    if outcome.peak_mb - usual_mb > MEMORY_MB:
        found.append(("memory", f"{outcome.peak_mb:.0f} MB where the whole input takes {usual_mb:.0f}"))
    elif said := _OUT_OF_MEMORY.search(outcome.err + outcome.out):
        found.append(("memory", f"it asked for more than there is: {said[0]}"))
    if outcome.seconds > SECONDS:
        found.append(("time", f"{outcome.seconds:.1f} s{', ended by the watcher' if outcome.stopped else ''}"))
    elif outcome.stopped and not found:
        found.append(("other", outcome.stopped))
    return found


def _words(attempt: Attempt, outcome: Outcome) -> list[tuple[str, str]]:
    """Judge exit code and sentences; nothing more is said of a case that crashed or was ended."""
    if outcome.stopped or outcome.signal or outcome.raised:
        return []
    found = []
    if outcome.code not in CODES:
        found.append(("other", f"exit code {outcome.code}"))
    lines = [line for line in outcome.err.split("\n") if line]
    sentences = [line for line in lines if _SENTENCE.fullmatch(line)]
    strangers = [line for line in lines if line not in sentences and not _BESIDE.fullmatch(line)]
    if len(sentences) != (outcome.code != 0):
        found.append(("other", f"exit code {outcome.code} with {len(sentences)} sentences"))
    chatter = [line for line in strangers if _LIBRARY.match(line)]
    if chatter:
        found.append((CHATTER, ascii(chatter[0])[:200]))
    strangers = [line for line in strangers if line not in chatter]
    if strangers:
        found.append(("other", f"said beside the sentence: {ascii(strangers[0])[:200]}"))
    longest = max((len(line) for line in lines), default=0)
    if longest > _LONGEST:
        found.append(("other", f"a sentence of {longest} characters"))
    for where, text in (("standard error", outcome.err), ("standard output", outcome.out)):
        control = next((c for c in text if _is_control(c)), None)
        if control is not None:
            found.append(("other", f"a control character {control!a} on the {where}"))
    return found


def _is_control(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")


def is_refusal(outcome: Outcome) -> bool:
    """Tell a refusal from an input that opened; `inspect` describes what it refuses and ends with 0."""
    return outcome.code != 0 or "\nrefused: " in f"\n{outcome.out}"
