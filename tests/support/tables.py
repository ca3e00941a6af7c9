"""Tables of somebody else, as files: what `airflow mlops new --from` and `validate --against-data` are tried on."""

from pathlib import Path

import numpy as np
import pandas as pd


def churn(rows: int = 3000, days: int = 120) -> pd.DataFrame:
    """Customers with a text category, free text, a constant, and a column that is known with the label."""
    rng = np.random.default_rng(0)
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.sort(rng.uniform(0, days * 86400, rows)), unit="s")
    usage, plan = rng.normal(size=rows), rng.choice(["basic", "pro", "team"], rows)
    churned = rng.uniform(size=rows) < 1 / (1 + np.exp(-(2 * usage - 1 + (plan == "basic"))))
    return pd.DataFrame(
        {
            "customer_id": np.arange(rows) + 1_000_000,
            "signup_time": at.floor("s"),
            "plan": plan,
            "usage": usage.round(3),
            "note": [f"call {number} {rng.integers(1_000_000)}" for number in range(rows)],
            "region": "north",
            "refund": np.where(churned, rng.uniform(5, 50, rows).round(2), 0.0),
            "churned": churned.astype(int),
        }
    )


def hourly(days: int = 200) -> pd.DataFrame:
    """One row an hour with a number to predict; the time is what identifies a row."""
    rng = np.random.default_rng(1)
    at = pd.date_range("2022-01-01", periods=24 * days, freq="h", tz="UTC")
    temp = 10 + 8 * np.sin(np.arange(len(at)) / 1400) + rng.normal(size=len(at))
    load = 100 + 20 * np.sin(at.hour / 24 * 2 * np.pi) + temp + rng.normal(0, 5, len(at))
    return pd.DataFrame({"timestamp": at, "temp": temp, "hour": at.hour, "load": load})


def panel(months: int = 60, shops: int = 60) -> pd.DataFrame:
    """One row a month for each shop."""
    rng = np.random.default_rng(2)
    waves = pd.date_range("2018-01-01", periods=months, freq="MS", tz="UTC")
    rows = pd.DataFrame(
        {
            "shop_id": np.tile(np.arange(shops), months),
            "wave": np.repeat(waves, shops),
            "footfall": rng.normal(size=months * shops),
        }
    )
    return rows.assign(sales=1000 + 80 * rows["footfall"] + rng.normal(0, 50, len(rows)))


def write(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table as the path's ending says."""
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path
