"""The command: python -m qmdsite render | preview."""

import argparse
import sys
from pathlib import Path

from qmdsite.preview import serve
from qmdsite.problem import BadInput, FailedCell
from qmdsite.site import Site


def attempt(root: Path) -> int:
    """Render once, and return the exit status; what went wrong is on stderr."""
    try:
        Site(root).render()
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    except FailedCell as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or root}: {error.strerror or error}; the site is as it was", file=sys.stderr)
        return 2
    return 0


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m qmdsite",
        description="Render a Quarto website without Quarto: run its cells, convert its pages, write _site.",
        epilog="The previous site stands until the new one is complete. Exit status: 0 rendered, 1 a cell failed, "
        "2 the sources are wrong, 130 interrupted.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser("render", help="render the site; pages that did not change are not run again")
    preview = commands.add_parser("preview", help="serve the site on this machine and render what changes")
    for command in (render, preview):
        command.add_argument("folder", nargs="?", type=Path, default=Path(), help="where _quarto.yml is (default: .)")
    preview.add_argument("--port", type=int, default=4200, help="where to serve (default: 4200)")
    arguments = parser.parse_args()
    try:
        if arguments.command == "render":
            return attempt(arguments.folder)
        return serve(arguments.folder, arguments.port, attempt)
    except KeyboardInterrupt:
        print("interrupted; the site is as it was", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
