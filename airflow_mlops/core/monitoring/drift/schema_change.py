"""Columns that came, went or changed their type, and values never seen: told apart from drift of a distribution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airflow_mlops.core.records.drift import SchemaChange
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Column
from airflow_mlops.core.rows.types import kind_of_type


def schema_changes(reference: Profile, current: Profile) -> tuple[SchemaChange, ...]:
    """Changes between two profiles: of the source's columns where both know them, and of categories.

    Values count as unseen only where the reference's categories were all of its values: where it has `other` ones
    too, a value that is not among its categories may have been there before.
    """
    seen = {column.name: column for column in current.columns}
    pairs = ((before, seen.get(before.name)) for before in reference.columns)
    unseen = [found for before, now in pairs if now is not None for found in _unseen(before, now)]
    return (*column_changes(reference.schema, current.schema), *unseen)


def column_changes(before: Sequence[Column], now: Sequence[Column]) -> tuple[SchemaChange, ...]:
    """Columns that are new, missing or of another kind; none when either side is not known.

    >>> one, two = Column(name="a", type="int64"), Column(name="a", type="string")
    >>> [(c.column, c.change, c.detail) for c in column_changes([one], [two, Column(name="b", type="bool")])]
    [('a', 'retyped', 'was int64, is string'), ('b', 'new', 'bool')]
    """
    if not before or not now:
        return ()
    old, new = ({column.name: column.type for column in side} for side in (before, now))
    return tuple(_compared(old, new))


def _compared(old: dict[str, str], new: dict[str, str]) -> Iterator[SchemaChange]:
    for name, was in old.items():
        if name not in new:
            yield SchemaChange(column=name, change="missing", detail=f"was {was}")
        elif _kind(was) != _kind(new[name]) and "empty" not in {_kind(was), _kind(new[name])}:
            yield SchemaChange(column=name, change="retyped", detail=f"was {was}, is {new[name]}")
    for name, type_ in new.items():
        if name not in old:
            yield SchemaChange(column=name, change="new", detail=type_)


def _kind(arrow_type: str) -> str:
    kind = kind_of_type(arrow_type)
    return arrow_type if kind == "other" else kind  # a list of texts is no list of numbers


def _unseen(before: ColumnProfile, now: ColumnProfile) -> Iterator[SchemaChange]:
    if before.role != "categorical" or now.categories != before.categories or not before.categories:
        return
    rows = sum(now.counts) + now.missing
    if now.counts[-1] and not before.counts[-1]:
        share = now.counts[-1] / rows
        yield SchemaChange(
            column=before.name,
            change="unseen_categories",
            detail=f"{now.counts[-1]} of {rows} rows ({share:.2%}) have a value that the reference never had",
            share=share,
        )
