"""What `training.refit` does to the loss of what serves, and to how often something is promoted.

Nothing here is a matter of speed. A model of four numbers is trained at every step and promoted by the gate, over half
a year of streams in which nothing changes, in which the relation turns slowly, and in which it turns in a night; with
refit and without, on the same rows.
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.report import Table

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.records.candidate import Champion
    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.spec import ModelSpec

FIRST = datetime(2025, 1, 1, tzinfo=UTC)
DAYS, A_DAY, WINDOW = 245, 80, 60
WORLDS = ("stable", "gradual", "sudden")
CADENCES = (7, 14, 28)
NAMES = ("x0", "x1", "x2", "x3")


def world(kind: str, seed: int) -> pd.DataFrame:
    """Rows whose label hangs on a direction among two numbers, on a third one, and on the day."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    count = DAYS * A_DAY
    inputs, age = rng.normal(size=(count, len(NAMES))), np.repeat(np.arange(DAYS) / DAYS, A_DAY)
    angle = {"stable": 0 * age, "gradual": 1.2 * np.pi * age, "sudden": np.where(age < 0.6, 0.0, 1.3)}[kind]
    score = 1.6 * (np.cos(angle) * inputs[:, 0] + np.sin(angle) * inputs[:, 1]) + 0.4 * inputs[:, 2]
    score += np.repeat(rng.normal(scale=0.3, size=DAYS), A_DAY)
    times = pd.date_range(FIRST, periods=count, freq=timedelta(days=1) / A_DAY, unit="us")
    frame = pd.DataFrame({"id": np.arange(count), "at": times, "y": (rng.random(count) < 1 / (1 + np.exp(-score))) * 1})
    return frame.assign(**{name: inputs[:, place] for place, name in enumerate(NAMES)})


def specified() -> ModelSpec:
    """The loop's defaults, without the rules that ask nothing of interest here."""
    from airflow_mlops.spec import ModelSpec

    off = {"mode": "off"}
    return ModelSpec.model_validate(
        {
            "name": "world",
            "owner": "benchmarks",
            "data": {
                "source": {"path": "none"}, "time": "at", "key": "id", "label": "y", "label_delay": "1d",
                "window": f"{WINDOW}d",
            },
            "features": {"numeric": list(NAMES)},
            "training": {"estimator": "sklearn.linear_model.LogisticRegression", "calibration": "never"},
            "gate": {
                "leakage": off, "serving": off, "robustness": off, "calibration": off, "champion": {"resamples": 400},
            },
        }
    )  # fmt: skip


def replay(frame: pd.DataFrame, spec: ModelSpec, every: int, *, refitted: bool) -> tuple[float, int]:
    """Train at every step and promote by the gate; return the mean log loss of what served, and the promotions."""
    from sklearn.metrics import log_loss

    from airflow_mlops.core.gate import decide, evaluate
    from airflow_mlops.core.records.decision import Verdict
    from airflow_mlops.core.training import candidate_from, champion_of, fit, refit

    served: tuple[Champion, Any] | None = None
    losses, promotions = [], 0
    for number, day in enumerate(range(WINDOW, DAYS - every + 1, every), 1):
        snapshot, rows = _taken(spec, frame, FIRST + timedelta(days=day))
        fitted = fit(spec, snapshot, rows)
        named = {"loop_run": f"r/{number}", "run_id": str(number), "model_uri": str(number)}
        candidate = candidate_from(spec, snapshot, fitted, **named)
        accepted = served is None
        if served is not None:
            found = evaluate(spec, candidate, fitted.pipeline, *served, rows, snapshot=snapshot)
            accepted = decide(spec, candidate, found, now=candidate.as_of).verdict is Verdict.ACCEPT
            promotions += accepted
        if accepted:
            if refitted:
                fitted = refit(spec, snapshot, rows, candidate, fitted.pipeline)
                candidate = candidate_from(spec, snapshot, fitted, **named)
            served = champion_of(spec.name, candidate, number), fitted.pipeline
        if served is not None:
            to_come = frame.iloc[day * A_DAY : (day + every) * A_DAY]
            losses.append(log_loss(to_come["y"], served[1].predict_proba(to_come[list(NAMES)])))
    return float(sum(losses) / len(losses)), promotions


def _taken(spec: ModelSpec, frame: pd.DataFrame, as_of: datetime) -> tuple[Snapshot, pd.DataFrame]:
    """The rows of a snapshot as of an instant, and its manifest; nothing is written."""
    from airflow_mlops.core.records.snapshot import Column, Snapshot
    from airflow_mlops.core.rows.windows import label_window, rows_within

    window = label_window(spec, as_of)
    rows = rows_within(frame, spec.data.time, window)
    types = {"id": "int64", "y": "int64", "at": "timestamp[us, tz=UTC]"}
    columns = tuple(Column(name=str(name), type=types.get(str(name), "double")) for name in rows.columns)
    return (
        Snapshot(
            model=spec.name, fingerprint=as_of.isoformat(), uri="none", as_of=as_of, window=window, rows=len(rows),
            columns=columns, source="a world", source_columns=columns, query="", time="at", key=("id",), label="y",
            extracted_at=as_of,
        ),
        rows,
    )  # fmt: skip


def measure(worlds: int = 30) -> tuple[Table, dict[str, Any]]:
    """Compare both on the same worlds.

    Parameters
    ----------
    worlds
        Streams of each kind.
    """
    import numpy as np

    spec, rows, figures = specified(), [], []
    for kind in WORLDS:
        for every in CADENCES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frames = [world(kind, seed) for seed in range(worlds)]
                plain, again = (
                    np.array([replay(frame, spec, every, refitted=refitted) for frame in frames])
                    for refitted in (False, True)
                )
            change = 100 * (again[:, 0] / plain[:, 0] - 1)
            error = float(change.std(ddof=1) / np.sqrt(worlds)) if worlds > 1 else float("nan")
            means = [float(side[:, column].mean()) for column in (0, 1) for side in (plain, again)]
            figures.append(
                {"world": kind, "every": every, "loss": means[:2], "promotions": means[2:], "change": change.tolist()}
            )
            rows.append(
                (
                    kind,
                    f"{every} days",
                    *(f"{value:.4f}" for value in means[:2]),
                    f"{change.mean():+.2f} % ({error:.2f})",
                    *(f"{value:.1f}" for value in means[2:]),
                )
            )
    table = Table(
        title="What serves, with and without `training.refit`",
        heads=("world", "trained every", "log loss", "with refit", "change (error)", "promotions", "with refit"),
        rows=tuple(rows),
        notes=(
            f"{worlds} worlds of each kind, {A_DAY} rows a day, {DAYS} days, a window of {WINDOW} and a holdout of 14.",
            "Log loss of what served until the next step, mean over steps; promotions after the first model's.",
        ),
    )
    return table, {"worlds": worlds, "figures": figures}
