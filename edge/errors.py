"""The errors a user may meet. Each carries the exit code that the command ends with.

A message reads "what: want X, got Y; do Z", fits one line and needs no traceback.
"""


class EdgeError(Exception):
    """Something the user can mend; the message says how."""

    exit_code = 1


class ConfigError(EdgeError):
    """A flag, a configuration file or an output path is not usable."""

    exit_code = 2


class BundleError(EdgeError):
    """A model bundle is missing, damaged, of the wrong task, or cannot run here."""

    exit_code = 3


class SourceError(EdgeError):
    """A camera, stream, video or folder of pictures cannot be read."""

    exit_code = 4


class LimitError(ValueError):
    """Something from outside is too large, or not of a kind that is allowed. Words: "want X, got Y"."""
