"""The errors a user may meet. Each carries the exit code that the command ends with.

A message reads "what: want X, got Y; do Z", fits one line and needs no traceback.
"""

from edge.redact import hide_passwords, printable, shorten


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


class LimitError(ValueError):
    """Something from outside is too large, or not of a kind that is allowed. Words: "want X, got Y"."""
