"""From a source to a specification: roles, windows, what is left out; a rehearsal finds what knows the label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.proposal.open_times import OpenedSource, OpenStore, open_source_with_times
from airflow_mlops.core.proposal.rates import Setting, settings_of
from airflow_mlops.core.proposal.roles import Role, Target, find_key, find_target, is_named_as_key
from airflow_mlops.core.proposal.sample import SourceSample, take_sample
from airflow_mlops.core.rehearsal import Rehearsal, newest_as_of, rehearse
from airflow_mlops.core.rows.types import kind_of_series
from airflow_mlops.spec.dotted import put
from airflow_mlops.spec.load import parse_spec
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode

_CODE = "named as a code, and begins with zeros: text, or 007 would be 7"
_ROUNDS = 4
"""Rehearsals at most: what knows the label may hide what knows it less."""
_IDENTIFIES = 0.95
"""Share of distinct values from which whole numbers that are named as a key identify rows, and tell nothing of them."""
_FREE_TEXT = 0.5
"""Share of distinct values from which text is not categories."""
_FEW_CATEGORIES = 254
"""So many distinct texts are categories however few the rows are."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person has said already; the rest is looked for."""

    time: str | None = None
    key: tuple[str, ...] = ()
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A specification's parts, each with its reason, and what its first training run would say."""

    name: str
    owner: str
    source: Mapping[str, Any]
    time: Role
    key: Role
    target: Target
    excluded: Mapping[str, str]
    """Columns that are left out, and why."""
    settings: tuple[Setting, ...]
    rows: str
    """What was looked at, in words."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """Columns of digits that are read as text, and why."""
    rehearsal: Rehearsal | None = None

    def spec(self) -> ModelSpec:
        """Return the specification.

        Raises
        ------
        SpecError
            If the name cannot be a model's name.
        """
        return parse_spec(self.document(), where="airflow mlops new")

    def document(self) -> dict[str, Any]:
        """Return the specification as the mapping that YAML writes."""
        key: Any = list(self.key.columns) if len(self.key.columns) > 1 else self.key.columns[0]
        found: dict[str, Any] = {
            "name": self.name,
            "owner": self.owner,
            "data": {
                "source": dict(self.source),
                "time": self.time.columns[0],
                "key": key,
                "label": self.target.name,
            },
        }
        if self.target.positive is not None:
            found["data"]["positive"] = self.target.positive
        if self.excluded:
            found["features"] = {"exclude": list(self.excluded)}
        for setting in self.settings:
            put(found, setting.field, setting.value)
        return found


def propose(
    open_store: OpenStore,
    storage: Storage,
    *,
    name: str,
    owner: str,
    source: Mapping[str, Any],
    wishes: Wishes,
    now: datetime,
) -> Proposal:
    """Look at a source, and say how a model of it could be kept.

    Parameters
    ----------
    open_store
        Opens a `data.source`: this one, and this one with what says how its times are written.
    storage
        A folder for the rehearsal's snapshot, that the caller throws away.
    source
        The specification's `data.source`.
    wishes
        What a person has chosen.

    Raises
    ------
    DataError
        If the source cannot be read, or holds nothing that can be the event time, the key or the label.
    SpecError
        If the name cannot be a model's name.
    """
    opened = open_source_with_times(open_store, source, time=wishes.time, now=now)
    sample = opened.sample
    first_key = find_key(sample, wishes.key, wishes.label)
    target = find_target(sample, first_key.columns, wishes.label)
    key = first_key if wishes.key else find_key(sample, wishes.key, target.name)
    codes = dict(_codes(opened, (sample.time, target.name, *key.columns)))
    if codes:
        opened = _read_as_text(open_store, opened, codes)
        sample = opened.sample
    made = Proposal(
        name=name,
        owner=owner,
        source=opened.source,
        time=Role(columns=(sample.time,), reason=sample.time_reason, sure=opened.sure),
        key=key,
        target=target,
        excluded=dict(_useless(sample, (sample.time, target.name, *key.columns))),
        settings=settings_of(sample, target, now),
        rows=_rows(sample),
        codes=codes,
    )
    return _rehearsed(made, opened.store, storage, now)


def _codes(opened: OpenedSource, taken: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield columns that are named as a code, and whose numbers begin with zeros, as no amount does.

    A month 07 is a number as well as a text: the name decides. Key columns are text in any case.
    """
    padded = {issue.field for issue in opened.store.issues() if issue.code is ReasonCode.LEADING_ZEROS}
    for column in opened.sample.columns:
        if column.name not in taken and f"column {column.name}" in padded and is_named_as_key(column.name):
            yield column.name, _CODE


def _read_as_text(open_store: OpenStore, opened: OpenedSource, codes: Iterable[str]) -> OpenedSource:
    told = {**opened.source, "types": {**opened.source.get("types", {}), **dict.fromkeys(codes, "text")}}
    store = open_store(told)
    sample = replace(take_sample(store, time=opened.sample.time), time_reason=opened.sample.time_reason)
    return replace(opened, store=store, source=told, sample=sample)


def _rehearsed(made: Proposal, store: DataStore, storage: Storage, now: datetime) -> Proposal:
    """Leave out what the gate finds to know the label, until it finds nothing."""
    for _ in range(_ROUNDS):
        spec = made.spec()
        found = rehearse(spec, store, storage, as_of=newest_as_of(spec, store, now), now=now)
        made = replace(made, rehearsal=found)
        knowing = dict(_knowing(found))
        if not knowing or (found.candidate is not None and len(knowing) == len(found.candidate.features)):
            break
        made = replace(made, excluded={**made.excluded, **knowing})
    return made


def _knowing(found: Rehearsal) -> Iterator[tuple[str, str]]:
    """Yield features that the gate's leakage rule refuses or asks about."""
    if found.decision is None:
        return
    for leak in found.decision.evaluation.evidence.leaks:
        if leak.kind in ("overlap", "time") or not (leak.leaking or leak.asked):
            continue
        for name in leak.what.split(", "):
            ask = "; if it is known before the event, take it back and name it in gate.leakage.reviewed"
            yield name, f"knows the label: {leak.words}" + (ask if leak.asked else "")


def _useless(sample: SourceSample, taken: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield columns that say nothing of a row that is not of that row alone."""
    for column in sample.columns:
        if column.name in taken:
            continue
        values = sample.frame[column.name].dropna()
        kind = kind_of_series(values)
        if kind in ("time", "mixed times", "other", "duration", "time of day"):
            continue  # no feature by its type
        distinct = values.nunique()
        if distinct <= 1:
            yield column.name, "one value only" if distinct else "no value at all"
        elif kind == "text" and distinct > max(_FEW_CATEGORIES, _FREE_TEXT * len(values)):
            yield column.name, f"free text or an identifier: {distinct:,} distinct values in {len(values):,} rows"
        elif kind == "number" and _numbers_rows(column.name, values, distinct):
            yield column.name, f"identifies rows: {distinct:,} distinct whole numbers in {len(values):,} rows"


def _numbers_rows(name: str, values: Any, distinct: int) -> bool:
    whole = bool((values % 1 == 0).all())
    return whole and distinct >= _IDENTIFIES * len(values) and is_named_as_key(name)


def _rows(sample: SourceSample) -> str:
    much = "every row" if sample.whole else f"the newest {len(sample.frame):,} rows"
    return f"{much}; {sample.first:%Y-%m-%d} to {sample.last:%Y-%m-%d}, {sample.per_day:,.1f} a day"
