"""Column names against the columns that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import composed, did_you_mean, find_nearest

_SHOWN = 40


def one_of(names: Iterable[str]) -> str:
    """Return the names as a list for a message, cut where it would run over.

    >>> one_of(["dest", "origin"])
    'one of: dest, origin'
    """
    ordered = sorted(names)
    rest = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return f"one of: {', '.join(ordered[:_SHOWN])}{rest}" if ordered else "none: there are no names"


def missing_columns(wanted: Mapping[str, str], known: Iterable[str], *, where: str = "") -> list[Problem]:
    """Return a problem for every wanted column that is not known.

    Parameters
    ----------
    wanted
        Column name to the field of the specification that names it.
    known
        The columns that there are.
    where
        The source in words.
    """
    there = list(known)
    return [_missing(name, field, there, where) for name, field in wanted.items() if name not in there]


def _missing(name: str, field: str, known: list[str], where: str) -> Problem:
    near = next((other for other in known if composed(other) == composed(name)), None) or find_nearest(name, known)
    return Problem(
        code=ReasonCode.COLUMN_RENAMED if near else ReasonCode.COLUMN_MISSING,
        field=field,
        found=f"no column '{name}'",
        allowed=one_of(known),
        fix=f"did you mean '{near}'?{same_letters(name, near)}"
        if near
        else "name a column of the source, or add it to the source",
        where=where,
    )


def same_letters(name: str, near: str) -> str:
    """Say why two names that look alike are not the same; nothing where they do not look alike.

    >>> same_letters("e\u0301t\u00e9", "\u00e9t\u00e9")
    ' It has the same letters, composed of other Unicode characters: copy the name from the source.'
    """
    if name == near or composed(name) != composed(near):
        return ""
    return " It has the same letters, composed of other Unicode characters: copy the name from the source."


def require_columns(wanted: Iterable[str], found: Iterable[str]) -> None:
    """Refuse when a wanted column is not there, with the nearest name.

    Raises
    ------
    DataError
        One problem for each missing column.
    """
    names = [str(name) for name in found]
    problems = []
    for column in wanted:
        if column in names:
            continue
        problems.append(
            Problem(
                code=ReasonCode.COLUMN_MISSING,
                field=f"features.{column}",
                found=f"no column {column!r}",
                allowed=f"every feature column; there are: {', '.join(names[:40])}",
                fix=did_you_mean(column, names) or "add the column to the source, or take it out of features",
            )
        )
    if problems:
        raise DataError(problems)
