"""The parser of both commands: what it says of a wrong flag shows no password and cannot move the cursor."""

import argparse
import sys
from typing import NoReturn

from edge.redact import hide_password, hide_passwords, printable


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that repeats what was typed only as far as it may be shown."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end with code 2."""
        for word in sys.argv[1:]:
            message = message.replace(word, hide_password(word)) if word else message
        super().error(printable(hide_passwords(message)))
