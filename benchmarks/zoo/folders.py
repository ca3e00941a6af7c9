"""A stream as a folder: rows, specification and truth."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.zoo.streams import Variant, draw_stream
from benchmarks.zoo.truth import Span, Stream, Truth

SPEC = """name: {name}
owner: my-team
schedule: "@monthly"
data:
  source: {{path: data/}}
  time: event_time
  key: {key}
  label: label
  label_delay: {delay:g}d
  window: {window}d
training:
  estimator: {estimator}
"""
"""What `airflow mlops new` writes, with its columns filled in: no setting of the loop is touched."""


@dataclass(frozen=True, kw_only=True)
class KnownStream:
    """A stream that was written to a folder."""

    folder: Path
    truth: Truth
    span: Span


def write_stream(name: str, folder: Path, seed: int, variant: Variant, weeks: int) -> KnownStream:
    """Draw a stream and write it, unless it was written before."""
    if not (folder / "truth.json").exists():
        made, span = draw_stream(name, seed, variant, weeks)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        made.frame.to_parquet(folder / "data" / "data.parquet", index=False)
        (folder / "spec.yaml").write_text(spec_text(name, made))
        known = {"start": span.start.isoformat(), "weeks": span.weeks, "truth": asdict(made.truth)}
        # Written last: without it the folder is only half made, and is made anew.
        (folder / "truth.json").write_text(json.dumps(known, indent=1) + "\n")
    return read_stream(folder)


def spec_text(name: str, made: Stream) -> str:
    """Return the specification of a stream."""
    delay, window = made.truth.label_delay, made.window_days
    return SPEC.format(name=name, key=made.key, delay=delay, window=window, estimator=made.estimator)


def read_stream(folder: Path) -> KnownStream:
    """Read what `write_stream` wrote."""
    known: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    raw = known["truth"]
    learn = tuple((after, until) for after, until in raw.pop("learn"))
    fault = raw.pop("fault")
    truth = Truth(learn=learn, fault=None if fault is None else tuple(fault), **raw)
    span = Span(start=date.fromisoformat(known["start"]), weeks=known["weeks"])
    return KnownStream(folder=folder, truth=truth, span=span)
