"""Text from outside made fit for a message: passwords in addresses hidden, control characters written out."""

import re
from urllib.parse import unquote

HIDDEN = "***"
MOST_CHARACTERS = 4096
"""An address is cut here, which bounds the time that looking through it takes."""
_MOST_CODED = 3
"""How often an address may be percent-encoded inside another one."""
_SECRET = re.compile(
    "auth|cred|digest|jwt|key|login|pass|psw|pwd|secret|session|sig|streamid|ticket|token|user|usr|hash|cookie"
    "|^(?:p|pin|pw|sid|u)$",
    re.IGNORECASE,
)
"""Names of values that are, or carry, a user or a password: `loginpas` and `X-Amz-Signature` too. `streamid` is where
SRT puts them. A harmless value that is hidden costs less than a password that is shown."""
_PAIR = re.compile(r"(?<![\w.\[\]%-])([\w.\[\]%-]+)=((?:(?![&;#,\s][\w.\[\]%-]+=).)*)", re.DOTALL)
"""`name=value`; the value ends before the next such pair, so that a password may hold any separator."""
_AUTHORITY = re.compile(r":/+|//")
_PORT = re.compile(r"\[[0-9A-Fa-f:.%]*\](?::\d{0,5})?|[^:]*(?::\d{0,5})?")
"""A host and perhaps a port: what stands before a path where there is no user."""

_OVERLONG, _KEPT = re.compile(r"[^\s'\":;,]{400,}"), 100
"""Real paths stay below 400 characters; of what is longer, so many tell which one it is."""

_WORD = re.compile(r"\S*:/+[^\s/@:]*:(?!\d{1,5}\b)[^\s@]{0,200}\s[^@]{0,200}@\S*|\S+")
"""An address, also one with blanks in its password, or another word."""


def hide_password(address: str) -> str:
    """Return an address without user and password, for messages, logs and reports.

    All of it is taken for one address, blanks included. What could be a part of a password is hidden: everything up to
    the last "@", and the values of all names that sound like a user, password, token or key.

    Args:
        address: of any scheme or none, whole or mistyped, percent-encoded or not. A path of a file comes back as it is.
    """
    if len(address) > MOST_CHARACTERS:
        address = address[:MOST_CHARACTERS] + "..."
    hidden = _hide_pairs(_hide_user(address))
    decoded = hidden
    for _ in range(_MOST_CODED):
        decoded = unquote(decoded)
        found = _hide_pairs(_hide_user(decoded))
        if found != decoded:
            return found
    return hidden


def hide_passwords(text: str) -> str:
    """Return a message in which each word that looks like an address went through `hide_password`."""
    return _WORD.sub(lambda word: hide_password(word[0]), text)


def shorten(text: str) -> str:
    """Return a message in which a word that nobody reads to its end, such as a path of 4,000 letters, is cut."""
    return _OVERLONG.sub(lambda word: f"{word[0][:_KEPT]}...", text)


def printable(text: str) -> str:
    r"""Return text that cannot move a cursor: ESC becomes \x1b, a newline \n, a bidirectional mark \u202e."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def in_utf8(text: str) -> str:
    r"""Return text that JSON can hold: bytes of a file's name that are no UTF-8 are written out, as in "caf\udce9"."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _hide_user(address: str) -> str:
    end = address.rfind("@")
    starts = [match.end() for match in _AUTHORITY.finditer(address)]
    for start in starts:
        authority = re.split(r"[/?#]", address[start:], maxsplit=1)[0].rstrip(":;,.'\")")
        if "@" in authority:
            return address[:start] + HIDDEN + address[end:]
        if not _PORT.fullmatch(authority):  # a password with a slash in it, or a host that was forgotten
            return address[:start] + HIDDEN + address[end:] * (end >= start)
    colon = address.find(":")
    if not starts and 0 <= colon < end:  # user:password@host, the scheme forgotten
        return address[: colon + 1] + HIDDEN + address[end:]
    return address


def _hide_pairs(address: str) -> str:
    def hide(pair: re.Match[str]) -> str:
        name = unquote(pair[1])
        return f"{pair[1]}={HIDDEN}" if _SECRET.search(name) and pair[2] else pair[0]

    return _PAIR.sub(hide, address)
