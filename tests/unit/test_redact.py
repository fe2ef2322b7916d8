"""No form of an address shows its password, and no message moves the cursor."""

import pytest

from edge.errors import ConfigError
from edge.redact import MOST_CHARACTERS, hide_password, hide_passwords, printable

SCHEMES = ("rtsp://", "rtsps://", "http://", "HTTPS://", "rtmp://", "srt://", "ftp://", "rtsp:/", "rtsp//", "rtsp:", "")
USERS = (
    "u:s3cret@",
    ":s3cret@",
    "s3cret:x@",
    "u:a@s3cret@",
    "u:s3cret@a@",
    "u:a/s3cret@",
    "u:s3cret/a@",
    "u:a?s3cret@",
    "u:a#s3cret@",
    "u:a:s3cret@",
    "u:%40s3cret%2F@",
    "u:s3cret%20@",
)
KEYS = (
    *("user", "usr", "username", "pwd", "pass", "passwd", "password", "passphrase", "token", "key", "auth", "secret"),
    *("api_key", "access_token", "loginuse", "loginpas", "PASSWORD", "Pwd", "psw", "p", "u", "X-Amz-Signature", "sid"),
    *("streamid", "p%61ss", "user[password]", "pubPasswd", "credentials", "session"),
)
JOINS = ("/x?{}", "/x?a=1&{}", "/x;{}", "/x;a=1;{};b=2", "/x#{}", "/x#a=1&{}", "/x?{}&b=2", "/x a=1 {} b=2", "?{}")


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_users_and_passwords_are_hidden(scheme, user):
    if not scheme and user == "s3cret:x@":
        return  # without a scheme this is a user, of whom only the password is hidden
    for address in (f"{scheme}{user}cam.local:554/live", f"{scheme}{user}cam", f"{scheme}{user}[::1]:80/x?a=1"):
        hidden = hide_password(address)
        assert "s3cret" not in hidden
        assert "***" in hidden
        assert hide_password(hidden) == hidden
        assert "s3cret" not in hide_passwords(f"source '{address}': want another, got '{address}'; mend it")


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("key", KEYS)
def test_values_that_are_secrets_are_hidden(key, join):
    for value in ("s3cret", "s3cret&x", "x;s3cret", "%73s3cret", "a=s3cret", "x/s3cret@y"):
        for scheme in ("rtmp://cam", "cam", "http://u:s3cret@cam"):
            address = scheme + join.format(f"{key}={value}")
            assert "s3cret" not in hide_password(address), address
            assert "s3cret" not in hide_passwords(f"sink {address}: want a path"), address


def test_addresses_inside_addresses():
    for address in (
        "http://proxy/rtsp://u:s3cret@cam/x",
        "http://proxy/x?url=rtsp%3A%2F%2Fu%3As3cret%40cam",
        "http://proxy/x?url=rtsp%253A%252F%252Fu%253As3cret%2540cam",
        "rtsp%3A%2F%2Fu%3As3cret%40cam",
        "video:rtmp://u:s3cret@cam/x",
        "rtsp://u:s3cret",
        "rtsp://u:s3cret/x",
        "rtsp://u:my s3cret@cam",
        "srt://cam:9000?streamid=#!::u=me,p=s3cret",
        "rtmp://cam/app pubUser=me pubPasswd=my s3cret live=1",
    ):
        assert "s3cret" not in hide_password(address), address


@pytest.mark.parametrize(
    "plain",
    [
        *[
            "http://cam/x",
            "http://cam:8080/live@hd",
            "rtsp://[fe80::1]:554/a@b",
            "rtsp://cam:554/x?channel=1&subtype=0",
        ],
        *[
            "film.mp4",
            "/home/me@work/film.mp4",
            "a 100% b.mp4",
            "0?size=1280x720&fps=30",
            "me@home.mp4",
            "C:\\film.mp4",
        ],
        *["C:\\film.mp4", "/dev/video0", "picamera:1?size=640x480", "", "@", "=", "a=1"],
    ],
)
def test_what_holds_no_secret_is_left_alone(plain):
    assert hide_password(plain) == plain
    assert hide_passwords(f"source '{plain}': want") == f"source '{plain}': want"


def test_blanks_in_a_password_inside_a_message():
    said = "config rtsp:/u:my s3cret@cam/x: want a file; see http://cam:8080 or me@home"
    assert hide_passwords(said) == "config rtsp:/***@cam/x: want a file; see http://cam:8080 or me@home"
    assert hide_passwords(":x/ " * 20_000)  # in no time


def test_the_host_stays_to_be_read():
    assert hide_password("rtsp://me:pw@cam.local:554/live?channel=1") == "rtsp://***@cam.local:554/live?channel=1"
    assert hide_password("http://cam/x?user=me&pwd=pw&channel=1") == "http://cam/x?user=***&pwd=***&channel=1"


def test_long_words_are_cut():
    assert hide_password("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
    for unit in ("x", "//", "a=b;", "a:", "@", "%", "a@b:"):
        assert len(hide_password(unit * 100_000)) <= 2 * MOST_CHARACTERS
    assert "s3cret" not in hide_password("rtsp://u:s3cret" + "x" * MOST_CHARACTERS + "@cam")


def test_a_message_cannot_move_the_cursor():
    assert printable("Füße 貓 a\x1b[2J\n\r\t\x7f\x9b\u202e\u2066\u200f\ud800\U000e0001") == (
        "Füße 貓 a\\x1b[2J\\n\\r\\t\\x7f\\x9b\\u202e\\u2066\\u200f\\ud800\\U000e0001"
    )


def test_errors_are_shown_without_passwords_and_control_characters():
    error = ConfigError("sink x\x1b]0;y\x07\n: want this, got rtmp://u:s3cret@cam; mend it")
    assert str(error) == "sink x\\x1b]0;y\\x07\\n: want this, got rtmp://***@cam; mend it"
