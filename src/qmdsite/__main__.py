"""The command: python -m qmdsite render | preview."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from qmdsite.kernel import LIMITS, Limits
from qmdsite.paths import documented
from qmdsite.problem import BadInput, FailedCell
from qmdsite.site import render


def attempt(action: Callable[[], None]) -> int:
    """Return the exit status of an action; what went wrong is said on stderr."""
    try:
        action()
    except (BadInput, FailedCell) as error:
        print(error, file=sys.stderr, flush=True)
        return 2 if isinstance(error, BadInput) else 1
    except OSError as error:
        print(f"{error.filename or 'error'}: {error.strerror or error}; the site is as it was", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the site is as it was", file=sys.stderr)
        return 130
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m qmdsite",
        description="Render a Quarto website without Quarto: run its cells, convert its pages, write _site.",
        epilog="The previous site stands until the new one is complete. Exit status: 0 rendered, 1 a cell failed, "
        "2 the sources are wrong or cannot be read, 130 interrupted.",
    )
    parser.add_argument("--options", action="store_true", help="print the options that are known, and exit")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("render", help="render the site; cells run again only where what they use changed")
    one.add_argument("path", nargs="?", type=Path, default=Path(), help="the site's folder, or a page or folder of it: "
                     "that alone, with what lists it (default: .)")  # fmt: skip
    many = commands.add_parser("preview", help="serve the site on this machine, and render and reload what changes")
    many.add_argument("path", nargs="?", type=Path, default=Path(), help="where _quarto.yml is (default: .)")
    many.add_argument("--port", type=int, default=4200, help="where to serve (default: 4200; 0: any that is free)")
    for command in (one, many):
        of_limits = command.add_argument_group("limits, above what pages need")
        of_limits.add_argument("--seconds", type=int, default=LIMITS.seconds, help="for a cell (default: %(default)s)")
        of_limits.add_argument("--output", type=int, default=LIMITS.output, help="for what a page shows, in megabytes "
                               "(default: %(default)s)")  # fmt: skip
        of_limits.add_argument("--memory", type=int, default=LIMITS.memory, help="for the kernel of a page, in "
                               "megabytes (default: what this machine has)")  # fmt: skip
    given = parser.parse_args(arguments)
    if given.options:
        print(documented("options"))
        return 0
    if not given.command:
        parser.error("say what to do: render or preview")
    limits = Limits(given.seconds, given.output, given.memory)
    if given.command == "render":
        return attempt(lambda: render(*located(given.path), limits))
    from qmdsite.preview import serve  # not above: a render does without the server

    return attempt(lambda: serve(given.path, given.port, lambda: attempt(lambda: render(given.path, "", limits))))


def located(path: Path) -> tuple[Path, str]:
    """Return the project that a path is in, and what of it is to be rendered: nothing says all."""
    for folder in (path.resolve(), *path.resolve().parents):
        if (folder / "_quarto.yml").is_file():
            inner = path.resolve().relative_to(folder).as_posix()
            return (path, "") if inner == "." else (folder, inner)
    return path, ""


if __name__ == "__main__":
    sys.exit(main())
