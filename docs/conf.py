"""How the documentation site is built: `make site`. Nothing is fetched, neither by the build nor by its pages.

The source folder is the repository's root, so that a link between two pages is the same on a forge and in the site.
The reference is written anew by each build, from the docstrings of the names that other people may use.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc, isclass, isfunction
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
# Airflow writes its configuration when it is imported: here, and not into the home of whoever builds.
os.environ.setdefault("AIRFLOW_HOME", str(ROOT / "build" / "airflow"))
sys.path.insert(0, str(ROOT))

project = "airflow_mlops"
author = "the airflow_mlops contributors"
copyright = f"{author}. Apache License 2.0"  # noqa: A001 - Sphinx's own name
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "docker/*.md", "helm/*.md", "helm/*/*.md"]
exclude_patterns = ["AGENTS.md", "docs/specification.new"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

myst_heading_anchors = 4
myst_links_external_new_tab = False
myst_enable_extensions = ["colon_fence"]
default_role = "code"  # docstrings write `name`, as Markdown does
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"  # they stand in the signature
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
toc_object_entries = False

html_theme = "furo"
html_title = "airflow_mlops"
html_logo = "images/logo.svg"
html_favicon = "images/logo.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_last_updated_fmt = None
pygments_style = "friendly"
pygments_dark_style = "native"

FLOORS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "airflow": (
        "In a DAG file",
        "What DAG files and Airflow's configuration name. Operators, sensors and links are those of the task page.",
        (
            *(
                "airflow_mlops.dags",
                "airflow_mlops.operators",
                "airflow_mlops.sensors",
                "airflow_mlops.triggers.events",
            ),
            *("airflow_mlops.notifications", "airflow_mlops.links", "airflow_mlops.hooks.mlflow"),
        ),
    ),
    "spec": (
        "The specification",
        "Reading one. Its fields are described in :doc:`../specification`.",
        ("airflow_mlops.spec",),
    ),
    "stages": (
        "The stages",
        "What each package of `core` shows to the floors above it; what else is in it is its own.",
        ("airflow_mlops.core.*",),
    ),
    "records": (
        "Records and ports",
        "What flows from stage to stage and is written to disk, and the protocols of the places where things live.",
        ("airflow_mlops.core.records.*", "airflow_mlops.core.ports", "airflow_mlops.core.errors"),
    ),
}
"""By page of the reference: title, introduction, and modules; `.*` is every module of a package."""


def write_reference(_app: Sphinx) -> None:
    """Write a page for each floor, with a directive for each public name."""
    shutil.rmtree(REFERENCE, ignore_errors=True)
    REFERENCE.mkdir()
    for page, (title, introduction, patterns) in FLOORS.items():
        text = f"{heading(title, '=')}\n{introduction}\n"
        for name in (name for pattern in patterns for name in modules(pattern)):
            text += "".join(directives(import_module(name)))
        (REFERENCE / f"{page}.rst").write_text(text, encoding="utf-8")
    text = f"{heading('Reference', '=')}\nThe public names, from their docstrings. "
    text += "What is not here may change unannounced.\n"
    text += "\n.. toctree::\n\n" + "".join(f"   {page}\n" for page in FLOORS)
    (REFERENCE / "index.rst").write_text(text, encoding="utf-8")


def heading(text: str, line: str) -> str:
    r"""Return a heading of reStructuredText.

    >>> heading("Rows", "-")
    'Rows\n----\n'
    """
    return f"{text}\n{line * len(text)}\n"


def modules(pattern: str) -> list[str]:
    """Names of the modules of a pattern; of packages that have a face, the face."""
    if not pattern.endswith(".*"):
        return [pattern]
    package = import_module(pattern.removesuffix(".*"))
    names = [f"{package.__name__}.{found.name}" for found in iter_modules(package.__path__)]
    if pattern == "airflow_mlops.core.*":
        return [name for name in names if hasattr(import_module(name), "__all__")]
    return names


def directives(module: ModuleType) -> Iterator[str]:
    """Yield a heading, the module's own words, and a directive for each public name that has words of its own."""
    names = public_names(module)
    if not names:
        return
    # automodule would document the module a second time when another page shows it: its words are copied instead
    yield f"\n{heading(module.__name__.removeprefix('airflow_mlops.'), '-')}\n{getdoc(module)}\n"
    yield f"\n.. currentmodule:: {module.__name__}\n"
    for name in names:
        value = getattr(module, name)
        if isclass(value):
            yield f"\n.. autoclass:: {name}\n   :members:\n"
        elif isfunction(value):
            yield f"\n.. autofunction:: {name}\n"
        else:
            yield f"\n.. autodata:: {name}\n   :no-value:\n"


def public_names(module: ModuleType) -> list[str]:
    """Names of `__all__`, or else the public classes and functions that the module defines, in their order."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return [
        name
        for name in own
        if not name.startswith("_") and (isclass(getattr(module, name)) or isfunction(getattr(module, name)))
    ]


FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*\bhref=["']?(?:https?:)?//"""
)
FETCHED_BY_STYLE = re.compile(r"""(?:url\(|@import\s+)["']?(?:https?:)?//""")


def refuse_foreign_parts(app: Sphinx, exception: Exception | None) -> None:
    """Fail when a page would fetch a script, a style, a font or an image from somewhere else."""
    from sphinx.errors import SphinxError

    if exception is not None or app.builder.name != "html":
        return
    patterns = {".html": FETCHED, ".css": FETCHED_BY_STYLE}
    pages = [file for file in Path(app.outdir).rglob("*") if file.suffix in patterns]
    found = [str(file.relative_to(app.outdir)) for file in pages if patterns[file.suffix].search(file.read_text())]
    if found or not pages:
        raise SphinxError(f"pages that fetch from elsewhere: {', '.join(found) or 'no page was written'}")


class AttributeWords:
    """Keep the words of attributes as they were written: napoleon takes what is before a colon for a type."""

    def __init__(self) -> None:
        self.words: dict[str, list[str]] = {}

    def keep(self, _app: Sphinx, what: str, name: str, value: object, _options: object, lines: list[str]) -> None:
        """Before napoleon; a constant's words are its own, and not those of `dict` or `tuple`."""
        if what == "data" and "\n".join(lines).strip() == (getdoc(type(value)) or "").strip():
            lines.clear()
        if what in {"attribute", "data", "property"}:
            self.words[name] = lines[:]

    def restore(self, _app: Sphinx, _what: str, name: str, _value: object, _options: object, lines: list[str]) -> None:
        """After it."""
        lines[:] = self.words.pop(name, lines)


def setup(app: Sphinx) -> None:
    """Connect what is done before, during and after the build."""
    words = AttributeWords()
    app.connect("autodoc-process-docstring", words.keep, priority=400)
    app.connect("autodoc-process-docstring", words.restore, priority=600)
    app.connect("builder-inited", write_reference)
    app.connect("build-finished", refuse_foreign_parts)
