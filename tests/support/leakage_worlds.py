"""Honest tasks with strong features, and tasks with a planted leak, for the error rates of the gate's leakage rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.gate.rules.leakage.judge import judge
from airflow_mlops.core.records.candidate import Task
from airflow_mlops.core.records.decision import Verdict
from tests.support.builders import AS_OF
from tests.support.leakage_inputs import bench_of

World = tuple[pd.DataFrame, Task]
Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the rule said of one world."""

    verdict: Verdict
    words: tuple[str, ...]
    """Of what counts."""


def look(frame: pd.DataFrame, task: Task) -> Seen:
    """Judge rows that are spread evenly over 60 days."""
    start = pd.Timestamp(AS_OF - timedelta(days=60))
    spread = pd.to_timedelta(np.linspace(0, 59 * 86_400, len(frame)), unit="s")
    said = judge(bench_of(frame.reset_index(drop=True).assign(t=start + spread), task, share=0.76))
    verdicts = {result.verdict for result in said.rules}
    worst = next(one for one in (Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.ACCEPT) if one in verdicts)
    return Seen(verdict=worst, words=tuple(leak.words for leak in said.evidence["leaks"] if leak.leaking or leak.asked))


def _chance(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# -- honest -----------------------------------------------------------------------------------------------------------


def additive(rng: Rng) -> World:
    """Everyday: 4 to 15 features, smooth effects, a few categories."""
    n, k = int(rng.integers(1500, 12_000)), int(rng.integers(4, 16))
    x, weight = rng.normal(size=(n, k)), rng.normal(size=k) * rng.choice([0.3, 1, 3], k)
    c = rng.choice(6, n)
    z = x @ weight + rng.normal(0, 1, 6)[c]
    z = rng.uniform(1, 5) * z / z.std()
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(k)]).assign(c=np.array(list("abcdef"))[c])
    kinds: list[Task] = ["binary", "multiclass", "regression"]
    kind = kinds[int(rng.choice(3, p=[0.6, 0.15, 0.25]))]
    base = rng.uniform(0.02, 0.5)
    if kind == "binary":
        return frame.assign(y=(rng.random(n) < _chance(z - np.quantile(z, 1 - base))).astype(int)), kind
    if kind == "multiclass":
        place = np.digitize(z + rng.logistic(size=n), np.quantile(z, [0.4, 0.8]))
        return frame.assign(y=np.array(list("pqr"))[place]), kind
    return frame.assign(y=z + rng.normal(0, z.std() * rng.uniform(0.1, 1), n)), kind


def interaction(rng: Rng) -> World:
    """The label depends on a product, ratio or difference of two features, with noise."""
    n = int(rng.integers(2000, 12_000))
    a, b = np.exp(rng.normal(0, 1, (2, n)))
    e = rng.normal(size=(3, n))
    z = [np.log(a / b), a - b, np.sign(a - 1) * np.sign(b - 1)][int(rng.integers(3))]
    z = rng.uniform(3, 12) * z / z.std() + e[0]
    y = (rng.random(n) < _chance(z)).astype(int)
    return pd.DataFrame({"income": a, "debt": b, "u": e[0], "v": e[1], "w": e[2], "y": y}), "binary"


def threshold(rng: Rng) -> World:
    """A policy that people mostly keep: beyond a threshold nearly all are refused."""
    n = int(rng.integers(2000, 12_000))
    ratio, x = rng.gamma(2, 1, n), rng.normal(size=(3, n))
    cut = np.quantile(ratio, rng.uniform(0.75, 0.95))
    p = np.where(ratio > cut, rng.uniform(0.985, 1), _chance(0.8 * x[0] - 0.6 * x[1] + rng.uniform(-2.5, -0.5)))
    return pd.DataFrame(
        {"ratio": ratio, "a": x[0], "b": x[1], "c": x[2], "y": (rng.random(n) < p).astype(int)}
    ), "binary"


def lag(rng: Rng) -> World:
    """The value before of a series: known before the event, and close to it."""
    n, rho = int(rng.integers(800, 3000)), rng.uniform(0.9, 0.998)
    y = _series(rng, n, rho)
    frame = pd.DataFrame({"y": y, "lag1": y, "lag24": y, "x": rng.normal(size=n)})
    return frame.assign(lag1=frame["y"].shift(1), lag24=frame["y"].shift(24)).iloc[24:], "regression"


def _series(rng: Rng, n: int, rho: float) -> Any:
    y, e = np.zeros(n), rng.normal(size=n)
    for i in range(1, n):
        y[i] = rho * y[i - 1] + e[i]
    return y


def price(rng: Rng) -> World:
    """Sale price from list price: a covariate on the label's own scale."""
    n = int(rng.integers(1500, 8000))
    listed, spread, x = np.exp(rng.normal(5, 1, n)), rng.uniform(0.03, 0.25), rng.normal(size=(2, n))
    y = listed * np.exp(spread * (0.7 * rng.normal(size=n) + 0.5 * x[0]))
    return pd.DataFrame({"list_price": listed, "a": x[0], "b": x[1], "y": y}), "regression"


def state(rng: Rng) -> World:
    """What was so yesterday is mostly so today."""
    n, stay = int(rng.integers(2000, 10_000)), rng.uniform(0.95, 0.999)
    was = (rng.random(n) < rng.uniform(0.05, 0.5)).astype(int)
    y, x = np.where(rng.random(n) < stay, was, 1 - was), rng.normal(size=(3, n))
    return pd.DataFrame({"was": was, "a": x[0] + 0.5 * y, "b": x[1], "c": x[2], "y": y}), "binary"


def blocklist(rng: Rng) -> World:
    """A list that is kept before the event: a part of one class for certain, nothing else."""
    n = int(rng.integers(4000, 15_000))
    x = rng.normal(size=(3, n))
    y = (rng.random(n) < _chance(0.8 * x[0] - 2.2)).astype(int)
    listed = ((y == 1) & (rng.random(n) < rng.uniform(0.15, 0.6))) | ((y == 0) & (rng.random(n) < 0.0003))
    return pd.DataFrame({"listed": listed.astype(int), "a": x[0], "b": x[1], "c": x[2], "y": y}), "binary"


def structural(rng: Rng) -> World:
    """Of one kind of rows the label is (almost) settled, as everybody knows: a free trial never pays."""
    n = int(rng.integers(2000, 10_000))
    kind, x = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1]), rng.normal(size=(3, n))
    p = np.where(kind == 0, rng.uniform(0, 0.01), _chance(0.9 * x[0] + 0.3))
    frame = {"kind": np.array(list("abcd"))[kind], "a": x[0], "b": x[1], "c": x[2]}
    return pd.DataFrame({**frame, "y": (rng.random(n) < p).astype(int)}), "binary"


def seasonal(rng: Rng) -> World:
    """Hourly demand: hour and weekday decide most of it, or that it is open."""
    n = 24 * 60
    hour, weekday = np.arange(n) % 24, np.arange(n) // 24 % 7
    is_open = ((hour > 7) & (hour < 21)).astype(int)
    level = 0.3 + rng.uniform(1, 4) * is_open + 0.5 * (weekday < 5) + rng.uniform(0, 1) * np.sin(hour / 24 * 6.28)
    y = rng.poisson(np.exp(level)).astype(float)
    return pd.DataFrame({"hour": hour, "weekday": weekday, "is_open": is_open, "y": y}), "regression"


def panel_static(rng: Rng) -> World:
    """Entities with attributes that stay and a sticky label: rows equal each other by nature."""
    n, days = int(rng.integers(80, 300)), 40
    size, kind, level = rng.normal(size=n).round(2), rng.choice(list("xyz"), n), rng.normal(0, 2, n)
    e = np.tile(np.arange(n), days)
    y = (rng.random(n * days) < _chance(1.2 * size + level)[e]).astype(int)
    return pd.DataFrame({"size": size[e], "kind": kind[e], "y": y}), "binary"


def honest_encoding(rng: Rng) -> World:
    """Mean labels of the same shops, from rows before these."""
    n, shops = int(rng.integers(2000, 8000)), int(rng.integers(40, 300))
    level, shop = rng.normal(size=shops), rng.integers(0, shops, n)
    before, y = level[shop] + rng.normal(size=n), level[shop] + rng.normal(size=n)
    means = np.bincount(shop, weights=before, minlength=shops) / np.maximum(1, np.bincount(shop, minlength=shops))
    return pd.DataFrame({"mean_before": means[shop], "a": rng.normal(size=n), "y": y}), "regression"


def rounded_weather(rng: Rng) -> World:
    """A smooth series in tenths, with its values of one and two hours before."""
    n = int(rng.integers(1000, 3000))
    y = (10 * np.sin(np.arange(n) / 24 * 6.28) + _series(rng, n, 0.97) * 0.5).round(1)
    frame = pd.DataFrame({"y": y, "x": rng.normal(size=n)})
    return frame.assign(lag1=frame["y"].shift(1), lag2=frame["y"].shift(2)).iloc[2:], "regression"


HONEST: tuple[tuple[Callable[[Rng], World], int], ...] = (
    (additive, 60), (interaction, 20), (threshold, 20), (lag, 20), (price, 15), (state, 15), (blocklist, 15),
    (structural, 15), (seasonal, 10), (panel_static, 10),
)  # fmt: skip
"""Families, and how many of 200 are of each: as FINDINGS of the zoo had them."""
HONEST_TOO: tuple[tuple[Callable[[Rng], World], int], ...] = ((honest_encoding, 20), (rounded_weather, 20))
"""Families that look like what the rule's newer checks look for."""


# -- planted ----------------------------------------------------------------------------------------------------------


def _numbers(rng: Rng) -> pd.DataFrame:
    """A regression with three honest features and some gaps."""
    n = int(rng.integers(1500, 5000))
    a, b, c = rng.normal(size=(3, n))
    y = np.exp(0.5 * a + 0.3 * b + 0.5 * rng.normal(size=n)) * 20
    return pd.DataFrame({"a": a, "b": b, "c": np.where(rng.random(n) < 0.1, np.nan, c), "y": y})


def _classes(rng: Rng) -> pd.DataFrame:
    n = int(rng.integers(1500, 5000))
    a, b, c = rng.normal(size=(3, n))
    return pd.DataFrame({"a": a, "b": b, "c": c, "y": (rng.random(n) < _chance(a - 1)).astype(int)})


def _planted_number(change: Callable[[pd.DataFrame, Rng], pd.DataFrame]) -> Callable[[Rng], World]:
    return lambda rng: (change(_numbers(rng), rng), "regression")


def _planted_class(change: Callable[[pd.DataFrame, Rng], pd.DataFrame]) -> Callable[[Rng], World]:
    return lambda rng: (change(_classes(rng), rng), "binary")


def _parts(count: int) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    def change(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        items = pd.DataFrame(rng.gamma(2, 10, (len(frame), count)).round(2), columns=[f"i{k}" for k in range(count)])
        signs = rng.choice([-1.0, 1.0], count)
        return frame.join(items).assign(y=(items * signs).sum(axis=1).round(2))

    return change


def _encoded(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Mean label of the row's shop, of these very rows."""
    shop = rng.integers(0, len(frame) // 6, len(frame))
    frame = frame.assign(y=frame["y"].astype(float))
    return frame.assign(mean_label=frame["y"].groupby(shop).transform("mean"))


def _encoded_shrunk(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """The same, shrunk to the mean as if ten rows more had been seen."""
    shop = pd.Series(rng.integers(0, len(frame) // 20, len(frame)))
    y = frame["y"].astype(float)
    sums, counts = y.groupby(shop).transform("sum"), y.groupby(shop).transform("count")
    return frame.assign(mean_label=(sums + 10 * y.mean()) / (counts + 10))


def _start_and_end(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Seconds since 1970 of the beginning and of the end: the label is between them."""
    start = 1.7e9 + np.cumsum(rng.integers(1, 900, len(frame)))
    return frame.assign(start=start, end=start + (frame["y"] * 60).round(), y=(frame["y"] * 60).round())


def _late_end(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """The label is whether the case took longer than a day."""
    took = np.where(frame["y"] == 1, 86_401, 1) + rng.integers(0, 80_000, len(frame))
    start = 1.7e9 + np.cumsum(rng.integers(1, 900, len(frame)))
    return frame.assign(start=start, end=start + took)


def _noisy(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return frame.assign(leak=frame["y"] + rng.uniform(-0.005, 0.005, len(frame)))


PLANTED: dict[str, Callable[[Rng], World]] = {
    "copy of a number": _planted_number(lambda f, _: f.assign(leak=f["y"])),
    "affine": _planted_number(lambda f, _: f.assign(leak=32 + 1.8 * f["y"])),
    "single precision": _planted_number(lambda f, _: f.assign(leak=f["y"].astype("float32").astype(float))),
    "monotone": _planted_number(lambda f, _: f.assign(leak=-np.log(f["y"]))),
    "rounded": _planted_number(lambda f, _: f.assign(leak=f["y"].round(0))),
    "rounding noise": _planted_number(_noisy),
    "ten bins": _planted_number(lambda f, _: f.assign(leak=pd.qcut(f["y"], 10, labels=False))),
    "three bins by name": _planted_number(
        lambda f, _: f.assign(leak=pd.qcut(f["y"], 3, labels=["small", "middling", "large"]).astype(str))
    ),
    "two bins": _planted_number(lambda f, _: f.assign(leak=(f["y"] > f["y"].median()).astype(int))),
    "with gaps": _planted_number(lambda f, rng: f.assign(leak=f["y"].where(rng.random(len(f)) < 0.9))),
    "sum or difference of two": _planted_number(_parts(2)),
    "sum or difference of three": _planted_number(_parts(3)),
    "sum or difference of seven": _planted_number(_parts(7)),
    "ratio": _planted_number(
        lambda f, rng: f.assign(units=rng.gamma(2, 5, len(f))).assign(total=lambda g: g["units"] * g["y"])
    ),
    "product": _planted_number(
        lambda f, rng: f.assign(units=rng.gamma(2, 5, len(f))).assign(each=lambda g: g["y"] / g["units"])
    ),
    "beginning and end": _planted_number(_start_and_end),
    "label of the next row": lambda rng: ((f := lag(rng)[0]).assign(after=f["y"].shift(-1)).iloc[:-1], "regression"),
    "mean label of these rows": _planted_number(_encoded),
    "shrunk mean label of these rows": _planted_number(_encoded_shrunk),
    "copy of a class": _planted_class(lambda f, _: f.assign(leak=f["y"] * 2 - 1)),
    "class by name": _planted_class(lambda f, _: f.assign(leak=np.where(f["y"] == 1, "closed", "open"))),
    "odd numbers": _planted_class(lambda f, rng: f.assign(leak=2 * rng.integers(0, 80, len(f)) + f["y"])),
    "filled for one class": _planted_class(
        lambda f, rng: f.assign(leak=np.where(f["y"] == 1, rng.normal(size=len(f)), np.nan))
    ),
    "class with mistakes": _planted_class(
        lambda f, rng: f.assign(leak=np.where(rng.random(len(f)) < 0.005, 1 - f["y"], f["y"]))
    ),
    "exclusive or": _planted_class(
        lambda f, rng: f.assign(first=rng.integers(0, 2, len(f))).assign(second=lambda g: g["first"] ^ g["y"])
    ),
    "late end": _planted_class(_late_end),
    "mean class of these rows": _planted_class(_encoded),
    "shrunk mean class of these rows": _planted_class(_encoded_shrunk),
}
"""Leaks by name; each world has one."""
ASKED_ONLY = frozenset({"rounding noise", "class with mistakes"})
"""Leaks that a strong honest feature may look like: they are asked about, and serve nowhere before somebody answers."""
