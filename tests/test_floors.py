"""Each floor uses only the floors below it, shown by importing it with everything else blocked."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "airflow_mlops"
HEAVY = ["pandas", "numpy", "sklearn", "mlflow", "great_expectations", "evidently", "scipy", "boto3", "pyarrow"]
HEAVY += ["skops", "celery"]
ADAPTERS = ["operators", "sensors", "triggers", "hooks", "links", "notifications", "dags", "cli"]
STAGES = ["snapshot", "validation", "training", "gate", "promotion", "scoring", "monitoring", "retraining", "backtest"]
BELOW_STAGES = ["rows", "pipeline", "metrics", "stats", "profiles"]
ABOVE = {
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
NO_AIRFLOW = {"spec", "core", "reports", "stores"}

SCRIPT = """
import importlib, sys
blocked = set({blocked!r})

class Block:
    def find_spec(self, name, path=None, target=None):
        if name in blocked or name.split(".")[0] in blocked:
            raise ImportError(f"{{name}} is blocked for this floor")
        return None

sys.meta_path.insert(0, Block())
for name in {modules!r}:
    importlib.import_module(name)
"""


def modules_of(floor: str) -> list[str]:
    files = sorted((PACKAGE / floor).rglob("*.py"))
    names = [".".join(("airflow_mlops", *f.relative_to(PACKAGE).with_suffix("").parts)) for f in files]
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("floor", sorted(ABOVE))
def test_a_floor_imports_only_the_floors_below_it_and_nothing_heavy(floor: str) -> None:
    modules = modules_of(floor)
    assert modules, floor
    blocked = [*HEAVY, "dev"] + [f"airflow_mlops.{name}" for name in ABOVE[floor]]
    blocked += ["airflow"] if floor in NO_AIRFLOW else []
    script = SCRIPT.format(blocked=blocked, modules=modules)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


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
