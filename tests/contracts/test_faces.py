"""Outside a stage only its face is imported: what its `__init__` names, and nothing behind it.

import-linter has a contract for this, but takes `from core.gate import decide`, the function, for the module of that
name; here the names are told apart. Imports inside functions and under `TYPE_CHECKING` count.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "airflow_mlops"
STAGES = (
    *("snapshot", "validation", "training", "gate", "promotion", "scoring"),
    *("monitoring.drift", "monitoring.performance", "retraining", "backtest"),
    *("rehearsal", "proposal"),
)
FACES = frozenset(f"airflow_mlops.core.{stage}" for stage in STAGES)


def dotted(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _imports() -> Iterator[tuple[str, str, str]]:
    """Yield the importing module, and what it takes: a module and a name of it, also by `module.name`."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        packages: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    if (whole := f"{node.module}.{alias.name}") in FACES:
                        packages[alias.asname or alias.name] = whole
                    else:
                        yield dotted(file), node.module, alias.name
            elif isinstance(node, ast.Import):
                yield from ((dotted(file), alias.name, "") for alias in node.names)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in packages:
                yield dotted(file), packages[node.value.id], node.attr


@cache  # not a constant: every worker collects this file, and one runs it
def imports() -> tuple[tuple[str, str, str], ...]:
    return tuple(_imports())


def from_outside(stage: str) -> list[tuple[str, str, str]]:
    face = f"airflow_mlops.core.{stage}"
    return [
        (importer, module, name)
        for importer, module, name in imports()
        if (f"{module}." if module == face else module).startswith(f"{face}.")
        and importer != face
        and not importer.startswith(f"{face}.")
    ]


def test_the_stages_are_those_of_the_package() -> None:
    core = PACKAGE / "core"
    below = {"records", "rows", "pipeline", "metrics", "stats", "profiles", "faults"}
    folders = {path.name for path in core.iterdir() if (path / "__init__.py").exists()} - below
    assert folders == {stage.partition(".")[0] for stage in STAGES}


@pytest.mark.parametrize("stage", STAGES)
def test_only_the_face_of_a_stage_is_imported_from_outside(stage: str) -> None:
    face = import_module(f"airflow_mlops.core.{stage}")
    used = from_outside(stage)
    assert used, f"nobody imports {stage}"
    behind = [use for use in used if use[1] != face.__name__ or use[2] not in face.__all__]
    assert behind == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_face_names_what_somebody_imports_and_nothing_else(stage: str) -> None:
    face = import_module(f"airflow_mlops.core.{stage}")
    assert set(face.__all__) == {name for _, _, name in from_outside(stage)}
    assert all(hasattr(face, name) for name in face.__all__)
