"""Print what the package needs, with the extras that are named, one requirement a line.

The libraries become a layer of the image by themselves, before the package is there: so what they are is read from
pyproject.toml and not from the wheel.
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: str, extras: list[str]) -> list[str]:
    """Return the requirements of a project and of some of its extras.

    An extra that names other extras of the project is not followed: those that the image has name libraries.
    """
    project = tomllib.loads(pyproject)["project"]
    named = (project["optional-dependencies"][extra] for extra in extras)
    return [*project["dependencies"], *(requirement for extra in named for requirement in extra)]


if __name__ == "__main__":
    print("\n".join(requirements(Path("pyproject.toml").read_text(encoding="utf-8"), sys.argv[1:])))
