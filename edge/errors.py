"""The errors a user may meet. Each carries the exit code that the command ends with.

A message reads "what: want X, got Y; do Z", fits one line and needs no traceback.
"""

import errno

from edge.redact import hide_passwords, printable, shorten

TYPOS = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)
"""Errors of the system that another name would mend. All others tell of the disk, the device or the rights."""


class EdgeError(Exception):
    """Something the user can mend; the message says how.

    Names of files and text from headers may be part of a message, so it is shown with control characters written
    out, without passwords, and with overlong words cut.
    """

    exit_code = 1

    def __str__(self) -> str:
        """Return the message in a form that a terminal or log can show."""
        return printable(hide_passwords(shorten(super().__str__())))


class ConfigError(EdgeError):
    """A flag, a configuration file or an output path is not usable."""

    exit_code = 2


class BundleError(EdgeError):
    """A model bundle is missing, damaged, of the wrong task, or cannot run here."""

    exit_code = 3


class SourceError(EdgeError):
    """A camera, stream, video or folder of pictures cannot be read."""

    exit_code = 4


class OutputError(EdgeError):
    """The system refuses a result: the disk is full, read-only or gone. Nothing that was typed is wrong."""

    exit_code = 5


def refusal(error: OSError, message: str) -> EdgeError:
    """Make the error for a place that could not be written.

    Args:
        error: as the system raised it.
        message: for the user.

    Returns:
        A `ConfigError` where another name would mend it, else an `OutputError`: disk full, read-only, no right to it.
    """
    return ConfigError(message) if error.errno in TYPOS else OutputError(message)


class LimitError(ValueError):
    """Something from outside is too large, or not of a kind that is allowed. Words: "want X, got Y"."""
