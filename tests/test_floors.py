"""Each floor uses only the floors below it, shown by importing it with everything else blocked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "airflow_mlops"
HEAVY = ["pandas", "numpy", "sklearn", "mlflow", "great_expectations", "evidently", "scipy", "boto3", "pyarrow"]
HEAVY += ["skops", "celery", "river"]
ADAPTERS = ["operators", "sensors", "triggers", "hooks", "links", "notifications", "dags", "cli"]
STAGES = ["snapshot", "validation", "training", "gate", "promotion", "scoring", "monitoring", "retraining", "backtest"]
BELOW_STAGES = ["rows", "pipeline", "metrics", "stats", "profiles"]
ABOVE = {
    "redaction": ["spec", "core", "reports", "stores", *ADAPTERS],
    "spec": ["core", "reports", "stores", *ADAPTERS],
    "core": ["reports", "stores", *ADAPTERS],
    "reports": ["stores", *(f"core.{name}" for name in [*STAGES, *BELOW_STAGES]), *ADAPTERS],
    "stores": ["reports", *ADAPTERS],
    "hooks": ["operators", "sensors", "triggers", "links", "notifications", "dags", "cli"],
    "links": ["operators", "sensors", "triggers", "notifications", "dags", "cli"],
    "notifications": ["operators", "sensors", "triggers", "dags", "cli"],
    "operators": ["sensors", "triggers", "dags", "cli"],
    "sensors": ["triggers", "dags", "cli"],
    "triggers": ["operators", "sensors", "dags", "cli"],
    "cli": ["operators", "sensors", "triggers", "dags"],
}
"""By floor, what may not be imported when all of its modules are: what lies above it, and what lies beside it."""
NO_AIRFLOW = {"redaction", "spec", "core", "reports", "stores"}

SCRIPT = """
import importlib, json, os, sys, traceback

class Block:
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name in self.names or name.split(".")[0] in self.names:
            raise ImportError(f"{name} is blocked for this floor")
        return None

def import_all(modules, blocked):
    found = [name for name in blocked if name in sys.modules]
    assert not found, f"loaded already: {found}"
    sys.meta_path.insert(0, Block(blocked))
    for name in modules:
        importlib.import_module(name)

def in_a_child(modules, blocked):
    ours, theirs = os.pipe()
    if not os.fork():
        try:
            import_all(modules, blocked)
        except BaseException:
            os.write(theirs, traceback.format_exc()[-3000:].encode())
        else:
            os.write(theirs, b"imported")
        os._exit(0)
    os.close(theirs)
    os.wait()
    with open(ours) as pipe:
        return pipe.read()

floors = json.load(sys.stdin)
said = {name: in_a_child(*floors[name][1:]) for name in floors if not floors[name][0]}
import airflow.cli.cli_config, airflow.sdk, airflow.triggers.base
from airflow.sdk import *
said |= {name: in_a_child(*floors[name][1:]) for name in floors if floors[name][0]}
json.dump(said, sys.stdout)
"""
"""Imports each floor in a child of its own; those that need Airflow share its import, which is most of the time."""


def modules_of(floor: str) -> list[str]:
    files = sorted((PACKAGE / floor).rglob("*.py"))
    names = [".".join(("airflow_mlops", *f.relative_to(PACKAGE).with_suffix("").parts)) for f in files]
    return [name.removesuffix(".__init__") for name in names]


def blocked_for(floor: str) -> list[str]:
    blocked = [*HEAVY, "dev", *(f"airflow_mlops.{name}" for name in ABOVE[floor])]
    return [*blocked, "airflow"] if floor in NO_AIRFLOW else blocked


@pytest.fixture(scope="module")
def imported() -> dict[str, str]:
    """By floor, the word "imported" or the end of the traceback."""
    floors = {floor: (floor not in NO_AIRFLOW, modules_of(floor), blocked_for(floor)) for floor in ABOVE}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(floors), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, str] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("floor", sorted(ABOVE))
def test_a_floor_imports_only_the_floors_below_it_and_nothing_heavy(imported: dict[str, str], floor: str) -> None:
    assert modules_of(floor), floor
    assert imported[floor] == "imported"


def test_every_folder_of_the_package_is_a_known_floor() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ABOVE)


def test_parsing_the_dag_folder_loads_nothing_heavy() -> None:
    dags = PACKAGE.parent / "dags"
    script = (
        "import sys, runpy, airflow.sdk\n"
        "before = set(sys.modules)\n"
        f"for path in {[str(p) for p in sorted(dags.glob('*.py'))]!r}: runpy.run_path(path)\n"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_sensors_reach_for_no_private_module_of_the_operators() -> None:
    files = sorted((PACKAGE / "sensors").rglob("*.py"))
    assert len(files) >= 5
    assert [file.name for file in files if "operators._" in file.read_text(encoding="utf-8")] == []
