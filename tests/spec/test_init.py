"""Reading a specification imports nothing heavy and nothing that it names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HEAVY = {
    *("pandas", "numpy", "sklearn", "mlflow", "great_expectations", "evidently", "scipy", "boto3", "pyarrow"),
    *("sqlalchemy", "airflow", "airflow_mlops.core", "requests", "croniter", "difflib"),
}


def run(script: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*paths, Path(__file__).parents[2])))}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)


def test_reading_loads_nothing_heavy(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    script = f"""
import sys
from airflow_mlops.spec import load_spec, apply_overrides
from airflow_mlops.spec.template import new_text
open({str(file)!r}, "w").write(new_text("churn"))
apply_overrides(load_spec({str(file)!r}), {{"training.seed": 7}}).fingerprint
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run(script).stdout.strip() == "[]"


def test_a_right_specification_does_not_pay_for_what_says_that_one_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    script = f"""
import sys
from airflow_mlops.spec import load_spec
from airflow_mlops.spec.template import new_text
open({str(file)!r}, "w").write(new_text("churn"))
load_spec({str(file)!r})
print([name for name in ("problems", "error_text", "overrides") if f"airflow_mlops.spec.{{name}}" in sys.modules])
from airflow_mlops.spec import Problem, ReasonCode, SpecError
print(issubclass(SpecError, ValueError), ReasonCode("spec_unsafe"))
"""
    assert run(script).stdout.split("\n")[:2] == ["[]", "True spec_unsafe"]


def test_what_a_specification_names_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "hostile_module.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "name: m\nowner: o\n"
        "data: {source: {path: x/}, time: t, key: k, label: y}\n"
        "features: {transformer: hostile_module.Transformer}\n"
        "training: {estimator: hostile_module.Estimator, trusted_types: [hostile_module.Type]}\n"
    )
    script = f"""
from airflow_mlops.spec import SpecError, load_spec
try:
    load_spec({str(spec)!r})
except SpecError as error:
    print([problem.field for problem in error.problems])
"""
    assert run(script, tmp_path).stdout.strip() == str(
        ["features.transformer", "training.estimator", "training.trusted_types.0"]
    )
    assert not (tmp_path / "ran").exists()
    run("import hostile_module", tmp_path)
    assert (tmp_path / "ran").exists()
