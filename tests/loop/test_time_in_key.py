"""Panel data, whose key holds the event time, through the real operators, a real MLflow server and the commands."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from airflow.sdk.exceptions import AirflowSkipException

from airflow_mlops.cli import get_cli_commands
from airflow_mlops.cli.advise import advise
from airflow_mlops.cli.backtest import backtest
from airflow_mlops.cli.reproduce import reproduce
from airflow_mlops.config import open_configured_storage, settings
from airflow_mlops.operators import RetrainOperator, ScoreOperator
from airflow_mlops.operators.drift import observed
from airflow_mlops.operators.performance import performed
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.open_source import open_source
from tests.support.loop import AS_OF, context_of, run_loop, specification

pytestmark = [
    pytest.mark.slow,
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
DAY = timedelta(days=1)
MACHINES, DAYS = 40, 110
FIRST = AS_OF - 75 * DAY
MONITORING = {"drift": {"min_rows": 50, "report": "never"}, "performance": {"min_rows": 100}}


def panel(machines: int = MACHINES) -> pd.DataFrame:
    """Each machine once a day at the same hour; what a machine is lasts. One machine: a plain series in time."""
    random = np.random.default_rng(4)
    day = pd.date_range(FIRST, periods=DAYS, freq=DAY, unit="us")
    own = np.tile(random.normal(0, 1.2, machines), DAYS)
    load = random.normal(size=machines * DAYS)
    return pd.DataFrame(
        {
            "machine": np.tile([f"m{number:02d}" for number in range(machines)], DAYS),
            "ordered_at": day.repeat(machines),
            "load": load,
            "distance": random.gamma(2.0, 10.0, size=len(load)),
            "city": random.choice(["Rome", "Oslo", "Bern"], size=len(load)),
            "late": (load + own + 0.5 * random.normal(size=len(load)) > 0.3).astype("int64"),
        }
    )


def series() -> pd.DataFrame:
    """A row an hour, and nothing but the time to name it by."""
    frame = panel(24)
    frame["ordered_at"] += pd.to_timedelta(np.tile(np.arange(24), DAYS), unit="h")
    return frame.drop(columns="machine")


CASES: dict[str, tuple[Any, Any]] = {
    "machine and time": (["machine", "ordered_at"], panel),
    "time and machine": (["ordered_at", "machine"], panel),
    "time alone": ("ordered_at", series),
}


def parsed(name: str, *words: str) -> argparse.Namespace:
    """Options as Airflow's command line would hand them over."""
    command: Any = next(c for c in get_cli_commands()[0].subcommands if c.name == name)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser()
    for arg in command.args:
        arg.add_to_parser(parser)
    return parser.parse_args(list(words))


@pytest.mark.parametrize("case", CASES)
def test_the_whole_loop(loop_home: Path, case: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    key, draw = CASES[case]
    frame = draw()
    frame.to_parquet(loop_home / "orders.parquet")
    name = "panel_" + case.replace(" ", "_")
    body: dict[str, Any] = specification("orders.parquet", name=name, monitoring=MONITORING)
    body["data"] |= {"key": key, "label_delay": "1d"}
    spec = ModelSpec.model_validate({**body, "scoring": {"window": "20d"}})

    trained = run_loop(spec, AS_OF)
    assert trained.reports["promote"]["promoted"] is True, trained.reports["gate"]["reasons"]
    (over,) = [rule for rule in trained.reports["gate"]["evaluation"]["rules"] if rule["rule"] == "baseline"]
    assert ("blocks by machine" in over["reason"]) == (key != "ordered_at")  # entities repeat: so are they resampled

    later = AS_OF + 20 * DAY
    scored = ScoreOperator(task_id="score", spec=spec).execute(context_of("s", later, dag_id=f"{name}.score"))
    assert scored is not None
    table = pq.read_table(scored["uri"].removeprefix("file://")).to_pandas()
    names: Sequence[str] = [key] if isinstance(key, str) else key
    assert not table.duplicated(subset=list(names)).any()
    assert len(table) == scored["rows"] == ((frame["ordered_at"] >= AS_OF) & (frame["ordered_at"] < later)).sum()

    storage, store = open_configured_storage(), open_source(spec.data.source, data_root=settings().data_root)
    seen = observed(spec, later, store, storage).report
    assert seen.verdict in {"ok", "watch"}
    measured, _ = performed(spec, later, storage)
    assert measured.verdict == "ok"
    assert measured.predicted > 200
    context = context_of("m", later, dag_id=f"{name}.monitor")
    with pytest.raises(AirflowSkipException, match="no retraining"):
        RetrainOperator(task_id="retrain", spec=spec, report=seen.to_json()).execute(context)
    again = run_loop(spec, later)
    assert again.reports["gate"]["champion_version"] == 1
    assert again.reports["gate"]["verdict"] in {"accept", "reject", "inconclusive"}

    reproduce(parsed("reproduce", name, "1"))
    assert "identical" in capsys.readouterr().out
    file = loop_home / f"{name}.yaml"
    file.write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude_unset=True)))
    start, end = str(AS_OF.date()), str((AS_OF + 28 * DAY).date())
    common = ("--every", "14d", "--workers", "1", "--json")
    backtest(parsed("backtest", str(file), "--from", start, "--to", end, *common))
    report = json.loads(capsys.readouterr().out)
    assert [line["policy"] for line in report["lines"] if line["mean_loss"] is None] == []
    assert len(report["lines"]) >= 5
    advise(parsed("advise", name, "--from", end, "--to", end, *common))
    assert json.loads(capsys.readouterr().out)["recommended"] == "as_it_is"
