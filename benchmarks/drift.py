"""Drift verdicts: how often they are wrong where nothing drifts, and what they find; Evidently's defaults beside them.

Ours see counts, so windows are drawn as counts (multinomial), of any size. Evidently sees rows: its default test of
each column is called directly, without its report, at the sizes that it can do. Both have a fresh reference of 20,000
rows for every window.
"""

from __future__ import annotations

import time
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.report import Table

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlops.core.records.drift import DriftReport
    from airflow_mlops.core.records.profile import Profile

ROWS = (50, 200, 1000, 10_000, 100_000)
COLUMNS = (5, 50, 500)
REFERENCE = 20_000
CHANGES = {
    "shift": "0.3 sigma",
    "category": "new category, 5 %",
    "missing": "missing 5 to 10 %",
    "outlier": "0.3 sigma, one 1e4",
}
MISSING, CATEGORIES, BINS = 0.05, 20, 20
WINDOWS = {5: 240, 50: 80, 500: 20}
EVIDENTLY = {(5, 50): 16, (5, 200): 16, (5, 1000): 16, (5, 10_000): 8, (50, 50): 4, (50, 200): 4, (50, 1000): 4}
AT = datetime(2024, 1, 1, tzinfo=UTC)


def measure(share: float = 1.0) -> tuple[Table, dict[str, Any]]:
    """Measure every size; `share` of the windows for a run that only looks whether it works."""
    found = [_size(rows, columns, share) for columns in COLUMNS for rows in ROWS]
    table = Table(
        title="Drift: false alarms and what is found, ours / Evidently's defaults",
        heads=("rows", "columns", "any column, no drift", "columns, no drift", *CHANGES.values()),
        rows=tuple(
            (f"{one['rows']:,}", str(one["columns"]), *(_cell(one, name) for name in ("any", "column", *CHANGES)))
            for one in found
        ),
        notes=(
            f"Level 0.05, default bounds, min_rows 50; reference of {REFERENCE:,} rows; half of the columns numeric.",
            "Found: share of the changed columns (two of 5, a tenth of more) that are called drift.",
            "Evidently: its default test by column and its threshold; - takes too long. It drops missing values.",
            "Outlier: one value of 1e4 in the reference of each shifted column, one in the window.",
        ),
    )
    return table, {"reference": REFERENCE, "sizes": found}


def _cell(one: dict[str, Any], name: str) -> str:
    ours, theirs = one["ours"][name], one["evidently"].get(name)
    return f"{ours:.2f} / {'-' if theirs is None else f'{theirs:.2f}'}"


def _size(rows: int, columns: int, share: float) -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(rows + columns)
    windows = max(2, round(share * WINDOWS[columns]))
    began = time.perf_counter()
    ours = _ours(rng, rows, columns, windows)
    seconds = time.perf_counter() - began
    times = EVIDENTLY.get((columns, rows), 0)
    theirs = _evidently(rng, rows, columns, max(2, round(share * times))) if times else {}
    return {
        "rows": rows, "columns": columns, "windows": windows, "evidently_windows": times, "ours": ours,
        "evidently": theirs, "seconds_per_window": seconds / (windows + len(CHANGES) * max(1, windows // 16)),
    }  # fmt: skip


def _ours(rng: np.random.Generator, rows: int, columns: int, windows: int) -> dict[str, float]:
    verdicts = [_drifting(rng, rows, _mixed(columns, "")) for _ in range(windows)]
    found = {
        "any": sum(map(any, verdicts)) / windows,
        "column": sum(map(sum, verdicts)) / windows / columns,
    }
    for change in CHANGES:
        kinds = _mixed(columns, change)
        hits = [
            hit
            for _ in range(max(1, windows // 16))
            for hit, (_, changed) in zip(_drifting(rng, rows, kinds), kinds, strict=True)
            if changed
        ]
        found[change] = sum(hits) / len(hits)
    return found


def _drifting(rng: np.random.Generator, rows: int, kinds: list[tuple[str, str]]) -> list[bool]:
    from airflow_mlops.core.monitoring.drift.compare import compare
    from airflow_mlops.spec.monitoring import DriftSpec

    before = _profile(rng, REFERENCE, [(kind, "was outlier" if change == "outlier" else "") for kind, change in kinds])
    drift = DriftSpec.model_validate({"min_rows": 50})
    report: DriftReport = compare(before, _profile(rng, rows, kinds), drift, champion_version=1, as_of=AT)
    return [column.verdict == "drift" for column in report.columns]


def _mixed(columns: int, change: str) -> list[tuple[str, str]]:
    """Numeric and categorical in turn; two columns, or a tenth, that the change fits have it."""
    kinds = ["categorical" if number % 2 else "numeric" for number in range(columns)]
    fits = {"shift": ("numeric",), "outlier": ("numeric",), "category": ("categorical",)}
    fitting = [i for i, kind in enumerate(kinds) if change and kind in fits.get(change, ("numeric", "categorical"))]
    places = set(fitting[: max(2, columns // 10)])
    return [(kind, change if place in places else "") for place, kind in enumerate(kinds)]


def _profile(rng: np.random.Generator, rows: int, kinds: list[tuple[str, str]]) -> Profile:
    from airflow_mlops.core.records.profile import ColumnProfile, Profile
    from airflow_mlops.core.records.snapshot import Window

    edges, names = tuple(_edges()), tuple(f"c{number}" for number in range(CATEGORIES))
    made = []
    for number, (kind, change) in enumerate(kinds):
        *counts, missing = rng.multinomial(rows, _shares(kind, change)).tolist()
        if "outlier" in change:
            counts[-1] += 1
        bins: dict[str, Any] = {"edges": edges} if kind == "numeric" else {"categories": names}
        role: Any = kind
        made.append(ColumnProfile(name=f"x{number}", role=role, counts=tuple(counts), missing=missing, **bins))
    window = Window(start=AT, end=AT.replace(day=8))
    return Profile(model="m", window=window, rows=rows, columns=tuple(made))


def _edges() -> list[float]:
    from statistics import NormalDist

    return [NormalDist().inv_cdf(number / BINS) for number in range(1, BINS)]


def _shares(kind: str, change: str) -> np.ndarray[Any, Any]:
    from statistics import NormalDist

    import numpy as np

    missing = MISSING + 0.05 * (change == "missing")
    if kind == "numeric":
        law = NormalDist(0.3 * (change in {"shift", "outlier"}), 1)
        values = np.diff([0.0, *(law.cdf(edge) for edge in _edges()), 1.0])
    else:
        values = 1 / np.arange(1, CATEGORIES + 1)
        values = np.append(values / values.sum() * (1 - 0.05 * (change == "category")), 0.05 * (change == "category"))
    return np.append(values / values.sum() * (1 - missing), missing)


def _evidently(rng: np.random.Generator, rows: int, columns: int, windows: int) -> dict[str, float]:
    verdicts = [[_their_verdict(rng, rows, *kind) for kind in _mixed(columns, "")] for _ in range(windows)]
    found = {"any": sum(map(any, verdicts)) / windows, "column": sum(map(sum, verdicts)) / windows / columns}
    for change in CHANGES:
        kinds = [kind for kind in _mixed(columns, change) if kind[1]][:2]
        hits = [_their_verdict(rng, rows, *kind) for _ in range(windows) for kind in kinds]
        found[change] = sum(hits) / len(hits)
    return found


def _their_verdict(rng: np.random.Generator, rows: int, kind: str, change: str) -> bool:
    """One column through the test that Evidently takes by itself; its preset drops missing values before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.legacy.calculations.stattests.registry import get_stattest
        from evidently.legacy.core import ColumnType

        type_ = ColumnType.Numerical if kind == "numeric" else ColumnType.Categorical
        before = _values(rng, REFERENCE, kind, "was outlier" if change == "outlier" else "").dropna()
        now = _values(rng, rows, kind, change).dropna()
        return bool(get_stattest(before, now, type_, None)(before, now, type_, None).drifted)


def _values(rng: np.random.Generator, rows: int, kind: str, change: str) -> Any:
    import numpy as np
    import pandas as pd

    missing = rng.random(rows) < MISSING + 0.05 * (change == "missing")
    if kind == "numeric":
        values = pd.Series(rng.normal(0.3 * (change in {"shift", "outlier"}), 1, rows)).mask(missing)
        if "outlier" in change:
            values.iloc[0] = 1e4
        return values
    shares = _shares(kind, change)[:-1]
    return pd.Series(rng.choice(CATEGORIES + 1, rows, p=shares / shares.sum()).astype(str), dtype=object).mask(
        missing, np.nan
    )
