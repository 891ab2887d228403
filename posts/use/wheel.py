"""Builds the package as the wheel that the site carries. Run by the render, before all else."""

import tempfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

HERE = Path(__file__).parent


def main() -> None:
    """Build it, and put it in the place of the one that is there if that is another."""
    with tempfile.TemporaryDirectory(dir=HERE, prefix=".") as folder:
        (built,) = map(Path, WheelBuilder(str(HERE.parent.parent)).build(directory=folder, versions=["standard"]))
        for old in HERE.glob("*.whl"):
            if old.name != built.name:
                old.unlink()
        wheel = HERE / built.name
        # Only what has changed is new to a preview, which looks at the times of files.
        if not wheel.is_file() or wheel.read_bytes() != built.read_bytes():
            built.replace(wheel)


if __name__ == "__main__":
    main()
