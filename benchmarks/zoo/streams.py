"""The streams of the zoo: each draws its rows and says what is true of them.

Every stream is a function of a generator, a span and its numbers. The shared zoo has the numbers with which the faults
were found; `drawn` ones are other streams of the same kinds, and their truth is computed from their own numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.zoo.truth import (
    HISTORY,
    LINE,
    REGRESSOR,
    Choice,
    Floats,
    Maker,
    Numbers,
    Range,
    Span,
    Stream,
    Truth,
    day_of_loss,
    draw_labels,
    draw_times,
    draw_turned,
    look_up,
    make_frame,
    midnight,
    most_for,
    ramp,
)

Generator = np.random.Generator
Variant = Literal["shared", "drawn"]
SHARED_START = date(2024, 1, 1)
WINDOW = 60
"""Days of the training window that a new specification has."""
LEARN = WINDOW + 17
"""Days after a sudden change until a training window lies wholly after it, and the next steps."""


@dataclass(frozen=True, kw_only=True)
class Animal:
    """A stream of the zoo, and its numbers."""

    make: Maker
    numbers: dict[str, Range | Choice]


ZOO: dict[str, Animal] = {}
"""By name, in the order in which they were found: the place of each is part of its seed."""


def animal(**numbers: Range | Choice) -> Callable[[Maker], Maker]:
    """Put a stream into the zoo, under its function's name."""

    def register(make: Maker) -> Maker:
        ZOO[make.__name__] = Animal(make=make, numbers=numbers)
        return make

    return register


def draw_stream(name: str, seed: int, variant: Variant = "shared", weeks: int = 52) -> tuple[Stream, Span]:
    """Draw a stream: the same for the same arguments.

    Parameters
    ----------
    variant
        `shared`: the numbers of the shared zoo; `drawn`: numbers and first day are drawn from the seed too.
    weeks
        Of the replay. In one shorter than 52 every change comes as much sooner.
    """
    place, chosen = list(ZOO).index(name), ZOO[name]
    if variant == "shared":
        start = SHARED_START
        numbers = {key: number.shared for key, number in chosen.numbers.items()}
    else:
        rng = np.random.default_rng([seed, place, ord("N")])
        start = date(2015, 1, 1) + timedelta(days=int(rng.integers(3650)))
        numbers = {key: number.draw(rng) for key, number in chosen.numbers.items()}
    span = Span(start=start, weeks=weeks)
    fitted = {key: number.fit(numbers[key], span) for key, number in chosen.numbers.items()}
    return chosen.make(np.random.default_rng([seed, place, ord("A")]), span, fitted), span


# -- nothing changes --------------------------------------------------------------------------------------------------


@animal(rows=Range(500, 250, 700), slope=Range(1.2, 0.8, 1.5), level=Range(0.3, -0.5, 1.0))
def stable_binary(rng: Generator, span: Span, n: Numbers) -> Stream:
    """Nothing ever changes."""
    times, day = draw_times(rng, n["rows"], span)
    x = rng.normal(size=(5, len(day)))
    channel = rng.choice(list("pqrst"), len(day), p=[0.4, 0.25, 0.2, 0.1, 0.05])
    z = n["slope"] * x[0] - 0.8 * x[1] + 0.6 * x[2] * x[3]
    z = z + look_up(channel, {"p": 0, "q": 0.5, "r": -0.5, "s": 1, "t": -1})
    label = draw_labels(rng, z - n["level"])
    frame = make_frame(times, a=x[0], b=x[1], c=x[2], d=x[3], e=x[4], channel=channel, label=label)
    return Stream(frame=frame, truth=Truth(kind="stable", what="nothing ever changes"))


@animal(day=Range(30.0, 15.0, 40.0), week=Range(25.0, 5.0, 35.0), noise=Range(5.0, 3.0, 10.0))
def stable_hourly(rng: Generator, span: Span, n: Numbers) -> Stream:
    """A row an hour, with a strong day and week."""
    first = midnight(span) - pd.Timedelta(days=HISTORY)
    times = pd.date_range(first, periods=span.all_days * 24, freq="h")
    hour, weekday = np.asarray(times.hour), np.asarray(times.weekday)
    temp = 12 + rng.normal(0, 4, span.all_days).repeat(24) + 4 * np.sin((hour - 9) / 24 * 2 * np.pi)
    temp = temp + rng.normal(0, 1, len(times))
    level = 100 + n["day"] * np.sin((hour - 7) / 24 * 2 * np.pi) - n["week"] * (weekday >= 5) + 0.8 * temp
    frame = make_frame(
        times, hour=hour, weekday=weekday, temp=temp, label=level + rng.normal(0, n["noise"], len(times))
    )
    frame["same_hour_last_week"] = frame["label"].shift(168)
    truth = Truth(kind="stable", what="24 rows a day, with a strong day and week")
    return Stream(frame=frame, truth=truth, task="regression", estimator=REGRESSOR)


@animal(rows=Range(150, 100, 300), hour=Range(0.8, 0.3, 1.2), weekend=Range(0.6, -0.8, 0.8))
def stable_calendar(rng: Generator, span: Span, n: Numbers) -> Stream:
    """Functions of the event time are among the features."""
    times, day = draw_times(rng, n["rows"], span)
    x = rng.normal(size=(2, len(day)))
    hour, weekday = np.asarray(times.hour), np.asarray(times.weekday)
    z = 1.2 * x[0] - x[1] + n["hour"] * np.sin((hour - 8) / 24 * 2 * np.pi) + n["weekend"] * (weekday >= 5)
    frame = make_frame(
        times,
        month=times.month,
        weekday=weekday,
        hour=hour,
        quarter=times.quarter,
        year=times.year,
        amount=x[0],
        age=x[1],
        label=draw_labels(rng, z),
    )
    what = "month, weekday, hour, quarter, year among the features; nothing changes"
    return Stream(frame=frame, truth=Truth(kind="stable", what=what))


@animal(rows=Range(200, 120, 400), swing=Range(6.0, 3.0, 9.0), phase=Range(100, 0, 364), slope=Range(0.22, 0.1, 0.3))
def seasonal_inputs(rng: Generator, span: Span, n: Numbers) -> Stream:
    """The inputs have a year, and the relation has none."""
    times, day = draw_times(rng, n["rows"], span)
    temp = 12 + n["swing"] * np.sin((day - n["phase"]) / 365 * 2 * np.pi) + rng.normal(0, 6, len(day))
    x = rng.normal(size=(2, len(day)))
    z = n["slope"] * (temp - 12) + 0.9 * x[0] - 0.5 * x[1]
    frame = make_frame(times, temp=temp, load=x[0], wind=x[1], label=draw_labels(rng, z))
    return Stream(
        frame=frame, truth=Truth(kind="harmless", what="inputs have a year, the relation has none", most_retrainings=2)
    )


# -- the relation changes ---------------------------------------------------------------------------------------------


@animal(
    rows=Range(300, 150, 500),
    start=Range(100, 60, 140, is_day=True),
    length=Range(120, 80, 150, is_day=True),
    angle=Range(0.464, 0.4, 0.7),
    noise=Range(0.06, 0.03, 0.1),
)
def gradual(rng: Generator, span: Span, n: Numbers) -> Stream:
    """The relation turns slowly, and stays."""
    times, day = draw_times(rng, n["rows"], span)
    start, end = n["start"], n["start"] + n["length"]
    frame = make_frame(times, **draw_turned(rng, n["angle"] * ramp(day, start, end), n["noise"]))
    lost = (1 - 2 * n["noise"]) * n["angle"] / np.pi
    truth = Truth(
        kind="decay",
        what=f"a fixed model loses {lost:.2f} of accuracy in {n['length']} days",
        learn=((start, end + WINDOW),),
        change=start,
        most_retrainings=most_for(end + WINDOW - start),
        point_loss_day=day_of_loss(start, end, n["angle"], n["noise"]),
    )
    return Stream(frame=frame, truth=truth)


@animal(
    rows=Range(300, 150, 500),
    at=Range(150, 80, 230, is_day=True),
    angle=Range(1.05, 0.7, 1.4),
    noise=Range(0.06, 0.03, 0.1),
)
def sudden(rng: Generator, span: Span, n: Numbers) -> Stream:
    """The relation turns in a night."""
    times, day = draw_times(rng, n["rows"], span)
    at = n["at"]
    frame = make_frame(times, **draw_turned(rng, n["angle"] * (day >= at), n["noise"]))
    what = f"the relation turns by {np.degrees(n['angle']):.0f} degrees in a night"
    truth = Truth(kind="sudden", what=what, learn=((at, at + LEARN),), change=at, most_retrainings=5)
    return Stream(frame=frame, truth=truth)


@animal(
    rows=Range(300, 150, 500),
    period=Range(91, 75, 120, is_day=True),
    angle=Range(0.9, 0.7, 1.2),
    noise=Range(0.06, 0.03, 0.1),
)
def recurring(rng: Generator, span: Span, n: Numbers) -> Stream:
    """Two relations take turns."""
    times, day = draw_times(rng, n["rows"], span)
    period = n["period"]
    other = (np.floor(day / period).astype(int) % 2 == 1) & (day >= 0)
    frame = make_frame(times, **draw_turned(rng, n["angle"] * other, n["noise"]))
    changes = range(period, span.days, period)
    truth = Truth(
        kind="recurring",
        what=f"two relations in turn, {period} days each",
        learn=tuple((at, at + LEARN) for at in changes),
        change=period,
        most_retrainings=5 * len(changes),
        escalation_ok=True,
    )
    return Stream(frame=frame, truth=truth)


@animal(
    rows=Range(250, 150, 400),
    start=Range(120, 80, 180, is_day=True),
    length=Range(60, 40, 90, is_day=True),
    shift=Range(2.5, 2.0, 3.5),
)
def covariate_hurts(rng: Generator, span: Span, n: Numbers) -> Stream:
    """The model is a straight line and the world a parabola, on which the inputs walk."""
    times, day = draw_times(rng, n["rows"], span)
    start, end = n["start"], n["start"] + n["length"]
    x = rng.normal(size=len(day)) + n["shift"] * ramp(day, start, end) - 1
    z = rng.normal(size=len(day))
    frame = make_frame(times, x=x, z=z, label=x**2 + 0.7 * z + rng.normal(0, 0.5, len(day)))
    truth = Truth(
        kind="decay",
        what="a straight line on a parabola, and the inputs walk",
        learn=((start, end + WINDOW),),
        change=start,
        most_retrainings=most_for(end + WINDOW - start),
    )
    return Stream(frame=frame, truth=truth, task="regression", estimator=LINE)


# -- faults of the pipeline -------------------------------------------------------------------------------------------


@animal(
    rows=Range(250, 150, 400),
    at=Range(156, 90, 250, is_day=True),
    length=Range(14, 7, 21),
    factor=Choice(100.0, (0.01, 100.0, 1000.0)),
)
def unit_fault(rng: Generator, span: Span, n: Numbers) -> Stream:
    """An amount arrives in another unit for some days."""
    day, frame = _draw_payments(rng, span, n["rows"])
    at, end = n["at"], n["at"] + n["length"]
    frame.loc[(day >= at) & (day < end), "amount"] *= n["factor"]
    what = f"an amount times {n['factor']:g} for {n['length']} days"
    return Stream(frame=frame, truth=Truth(kind="fault", what=what, fault=(at, end)))


@animal(rows=Range(250, 150, 400), at=Range(155, 90, 250, is_day=True), length=Range(5, 3, 10))
def null_fault(rng: Generator, span: Span, n: Numbers) -> Stream:
    """A column is null for some days."""
    day, frame = _draw_payments(rng, span, n["rows"])
    at, end = n["at"], n["at"] + n["length"]
    frame.loc[(day >= at) & (day < end), "score"] = np.nan
    what = f"a score is null for {n['length']} days"
    return Stream(frame=frame, truth=Truth(kind="fault", what=what, fault=(at, end)))


def _draw_payments(rng: Generator, span: Span, rows: float) -> tuple[Floats, pd.DataFrame]:
    times, day = draw_times(rng, rows, span)
    amount, distance = np.exp(rng.normal(3.5, 0.8, len(day))), np.exp(rng.normal(1, 0.6, len(day)))
    score, age = rng.normal(size=len(day)), rng.integers(18, 80, len(day))
    z = 0.9 * (np.log(amount) - 3.5) / 0.8 + 1.1 * score - 0.5 * (np.log(distance) - 1) / 0.6 - 0.4
    return day, make_frame(times, amount=amount, distance=distance, score=score, age=age, label=draw_labels(rng, z))


# -- categories, rare and heavy, late and few -------------------------------------------------------------------------


@animal(
    rows=Range(250, 150, 400),
    start=Range(100, 60, 130, is_day=True),
    length=Range(150, 100, 170, is_day=True),
    share=Range(0.2, 0.15, 0.35),
    effect=Range(2.2, 1.8, 3.0),
)
def new_category(rng: Generator, span: Span, n: Numbers) -> Stream:
    """A category that was never seen grows, and behaves otherwise."""
    times, day = draw_times(rng, n["rows"], span)
    start, end = n["start"], n["start"] + n["length"]
    share = n["share"] * ramp(day, start, end)
    method = rng.choice(["card", "cash", "bank"], len(day), p=[0.5, 0.3, 0.2]).astype(object)
    method[rng.random(len(day)) < share] = "wallet"
    x = rng.normal(size=(2, len(day)))
    z = x[0] - 0.6 * x[1] + look_up(method, {"card": 0.3, "cash": -0.4, "bank": 0.0, "wallet": n["effect"]}) - 0.5
    frame = make_frame(times, method=method, x1=x[0], x2=x[1], label=draw_labels(rng, z))
    truth = Truth(
        kind="decay",
        what=f"a new category grows to {n['share']:.0%} of the rows, and behaves otherwise",
        learn=((start + 30, end + WINDOW),),
        change=start,
        most_retrainings=most_for(end + WINDOW - (start + 30)),
    )
    return Stream(frame=frame, truth=truth)


@animal(rows=Range(400, 300, 700), level=Range(6.45, 5.9, 6.7))
def rare(rng: Generator, span: Span, n: Numbers) -> Stream:
    """Positives are rare; nothing changes."""
    times, day = draw_times(rng, n["rows"], span)
    x = rng.normal(size=(5, len(day)))
    label = draw_labels(rng, 1.3 * x[0] + 0.9 * x[1] - n["level"])
    frame = make_frame(times, a=x[0], b=x[1], c=x[2], d=x[3], e=x[4], label=label)
    return Stream(frame=frame, truth=Truth(kind="stable", what=f"positives are {label.mean():.1%}, nothing changes"))


@animal(rows=Range(250, 150, 400), at=Range(140, 80, 230, is_day=True), length=Range(30, 20, 45))
def vanishing_class(rng: Generator, span: Span, n: Numbers) -> Stream:
    """A class of four is gone for some weeks, and comes back."""
    times, day = draw_times(rng, n["rows"], span)
    x = rng.normal(size=(3, len(day)))
    z = np.stack([0.3 + x[0], -0.2 + x[1], x[2], -0.8 - 0.7 * x[0] + 0.5 * x[1]], axis=1)
    at, end = n["at"], n["at"] + n["length"]
    z[(day >= at) & (day < end), 3] = -np.inf
    label = np.array(list("abcd"))[np.argmax(z + rng.gumbel(size=z.shape), axis=1)]
    what = f"a class of four is gone for {n['length']} days, and comes back"
    truth = Truth(kind="harmless", what=what, most_retrainings=2, change=at)
    return Stream(frame=make_frame(times, x1=x[0], x2=x[1], x3=x[2], label=label), truth=truth, task="multiclass")


@animal(rows=Range(250, 150, 400), sigma=Range(1.2, 0.8, 1.3))
def heavy_tail(rng: Generator, span: Span, n: Numbers) -> Stream:
    """Amounts are log-normal; nothing changes."""
    times, day = draw_times(rng, n["rows"], span)
    x = rng.normal(size=(3, len(day)))
    label = np.exp(3 + 0.7 * x[0] - 0.4 * x[1] + n["sigma"] * rng.normal(size=len(day)))
    frame = make_frame(times, x1=x[0], x2=x[1], x3=x[2], label=label)
    truth = Truth(kind="stable", what="amounts are log-normal")
    return Stream(frame=frame, truth=truth, task="regression", estimator=REGRESSOR)


@animal(
    rows=Range(250, 150, 400),
    start=Range(90, 60, 110, is_day=True),
    length=Range(120, 80, 130, is_day=True),
    angle=Range(0.5, 0.4, 0.7),
    noise=Range(0.06, 0.03, 0.1),
    delay=Range(30, 14, 40),
)
def late_labels(rng: Generator, span: Span, n: Numbers) -> Stream:
    """The relation turns slowly, and outcomes are weeks late."""
    times, day = draw_times(rng, n["rows"], span)
    start, end, delay = n["start"], n["start"] + n["length"], n["delay"]
    frame = make_frame(times, **draw_turned(rng, n["angle"] * ramp(day, start, end), n["noise"]))
    window = WINDOW + delay
    truth = Truth(
        kind="decay",
        what=f"gradual decay, outcomes are {delay} days late",
        learn=((start + delay, end + delay + window),),
        change=start,
        most_retrainings=most_for(end + WINDOW - start),
        label_delay=float(delay),
        point_loss_day=day_of_loss(start, end, n["angle"], n["noise"]),
    )
    return Stream(frame=frame, truth=truth, window_days=window)


@animal(rows=Range(40, 25, 60), slope=Range(1.2, 0.8, 1.5))
def small(rng: Generator, span: Span, n: Numbers) -> Stream:
    """Few rows a day; nothing changes."""
    times, day = draw_times(rng, n["rows"], span)
    x = rng.normal(size=(3, len(day)))
    label = draw_labels(rng, n["slope"] * x[0] - 0.8 * x[1])
    frame = make_frame(times, a=x[0], b=x[1], c=x[2], label=label)
    return Stream(frame=frame, truth=Truth(kind="stable", what=f"{n['rows']} rows a day, nothing changes"))


# -- days, entities, definitions --------------------------------------------------------------------------------------


@animal(rows=Range(200, 120, 400), shift=Range(0.6, 0.3, 0.7), mood=Range(0.7, 0.3, 0.8), again=Range(0.6, 0.3, 0.7))
def day_effects(rng: Generator, span: Span, n: Numbers) -> Stream:
    """Days differ a lot, and hang together; over weeks nothing changes."""
    times, day = draw_times(rng, n["rows"], span, spread=0.3)
    number = np.floor(day).astype(int) + HISTORY
    shift, mood = (_draw_days(rng, n[name], n["again"], span.all_days) for name in ("shift", "mood"))
    x = rng.normal(size=(3, len(day)))
    x[0] += shift[number]
    z = 1.2 * x[0] - 0.8 * x[1] + mood[number]
    frame = make_frame(times, a=x[0], b=x[1], c=x[2], label=draw_labels(rng, z))
    what = "days differ a lot and hang together; nothing changes"
    return Stream(frame=frame, truth=Truth(kind="stable", what=what))


def _draw_days(rng: Generator, scale: float, again: float, days: int) -> Floats:
    """Draw a stationary autoregression of order one: standard deviation `scale`, correlation `again` of neighbours."""
    found = rng.normal(0, scale * np.sqrt(1 - again**2), days)
    for day in range(1, days):
        found[day] += again * found[day - 1]
    return found


@animal(rows=Range(250, 150, 400), customers=Range(5000, 2000, 8000), weekly=Range(0.02, 0.01, 0.04))
def many_ids(rng: Generator, span: Span, n: Numbers) -> Stream:
    """A feature names thousands of customers, of whom some are replaced by new ones every week."""
    times, day = draw_times(rng, n["rows"], span)
    count: int = n["customers"]
    share = 1 / (np.arange(count) + 5) ** 0.9
    slot = rng.choice(count, len(day), p=share / share.sum())
    phase, life = rng.random(count), rng.exponential(float(7 / n["weekly"]), count)
    generation = np.floor((day + HISTORY) / life[slot] + phase[slot]).astype(int)
    customer = pd.Series(slot).astype(str) + "-" + pd.Series(generation).astype(str)
    effect = pd.util.hash_array(customer.to_numpy(dtype=object)) % 10_007 / 10_007.0
    x = rng.normal(size=(2, len(day)))
    z = 1.1 * x[0] - 0.6 * x[1] + 2.0 * (effect - 0.5)
    frame = make_frame(times, customer="c" + customer, x1=x[0], x2=x[1], label=draw_labels(rng, z))
    what = f"{count:,} customers, {n['weekly']:.0%} a week are replaced"
    return Stream(frame=frame, truth=Truth(kind="stable", what=what, most_retrainings=2))


@animal(machines=Range(150, 80, 250), own=Range(0.8, 0.4, 1.2))
def panel(rng: Generator, span: Span, n: Numbers) -> Stream:
    """The same machines report once a day; the key is machine and time."""
    days, count = span.all_days, int(n["machines"])
    machine, day = np.tile(np.arange(count), days), np.repeat(np.arange(days), count)
    times = midnight(span) + pd.to_timedelta(day - HISTORY, unit="D") + pd.Timedelta(hours=6)
    size, kind = rng.normal(size=count), rng.choice(list("xyz"), count)
    own = rng.normal(0, float(n["own"]), count)
    use = rng.normal(size=len(day))
    z = 0.8 * size[machine] + own[machine] + 0.7 * use + look_up(kind, {"x": 0, "y": 0.4, "z": -0.4})[machine]
    label = draw_labels(rng, z - 0.5)
    columns = {"machine": machine, "event_time": times, "size": size[machine], "type": kind[machine], "use": use}
    truth = Truth(kind="stable", what=f"{count} machines, one row each a day")
    return Stream(frame=pd.DataFrame({**columns, "label": label}), truth=truth, key="[machine, event_time]")


@animal(rows=Range(250, 150, 400), at=Range(160, 80, 230, is_day=True), jump=Range(1.6, 1.2, 2.2))
def definition(rng: Generator, span: Span, n: Numbers) -> Stream:
    """The label is defined anew: more rows have it."""
    times, day = draw_times(rng, n["rows"], span)
    at = n["at"]
    x = rng.normal(size=(3, len(day)))
    label = draw_labels(rng, 1.3 * x[0] - 0.9 * x[1] + np.where(day < at, -n["jump"], 0.0))
    rates = label[day < at].mean(), label[day >= at].mean()
    truth = Truth(
        kind="sudden",
        what=f"the label is defined anew: its rate jumps from {rates[0]:.2f} to {rates[1]:.2f}",
        learn=((at, at + LEARN),),
        change=at,
        most_retrainings=5,
        escalation_ok=True,
    )
    return Stream(frame=make_frame(times, a=x[0], b=x[1], c=x[2], label=label), truth=truth)


@animal(rows=Range(200, 120, 400), daily=Range(0.004, 0.002, 0.006))
def growth(rng: Generator, span: Span, n: Numbers) -> Stream:
    """A count grows every day."""
    times, day = draw_times(rng, n["rows"], span)
    x = rng.normal(size=(2, len(day)))
    mean = np.exp(1.5 + 0.5 * x[0] - 0.3 * x[1] + n["daily"] * (day + HISTORY))
    frame = make_frame(times, x1=x[0], x2=x[1], label=rng.poisson(mean).astype(float))
    truth = Truth(
        kind="growth",
        what=f"a count that grows by {n['daily']:.1%} a day",
        learn=((0, span.days),),
        change=0.0,
        most_retrainings=span.days // 15,
    )
    return Stream(frame=frame, truth=truth, task="regression", estimator=REGRESSOR)


@animal(machines=Range(150, 80, 250), own=Range(0.8, 0.4, 1.2))
def panel_id(rng: Generator, span: Span, n: Numbers) -> Stream:
    """The same machines with a number as the key, and the machine's name among the features."""
    made = panel(rng, span, n)
    made.frame.insert(0, "id", np.arange(len(made.frame)))
    made.frame["machine"] = "m" + made.frame["machine"].astype(str)
    return Stream(frame=made.frame, truth=made.truth)
