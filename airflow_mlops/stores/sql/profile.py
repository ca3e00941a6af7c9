"""A window's profile as one aggregate query: the database counts, and only the counts travel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.spec.problems import Problem
from airflow_mlops.stores.sql.engine import reading
from airflow_mlops.stores.sql.profile_columns import Asked, ask
from airflow_mlops.stores.sql.relation import Relation, Statement
from airflow_mlops.stores.sql.window_bounds import Bounded, bounded

if TYPE_CHECKING:
    import sqlalchemy as sa

FILTERS = {"postgresql", "sqlite", "duckdb"}
"""Databases that know FILTER, which is faster than CASE."""
MOST = {"sqlite": 1_900, "postgresql": None}
OTHERS = 900
"""Counts in one query: Oracle has at most 1,000 columns in a result, SQLite 2,000. PostgreSQL has 1,664, but takes the
counts of one column as an array."""


def pushed_down(
    relation: Relation, reference: Profile, window: Window, time: str, *, schema: Sequence[Column], subject: str
) -> Profile | None:
    """Have a window counted by the database, in one scan.

    Only a database's limit of columns in a result makes it more, one for each `MOST` counts.

    Returns
    -------
    Profile or None
        None when only reading the rows gives the right counts, or the right error: a column whose values Python writes
        in another way than the database, a type that is not declared, values that are not of their column's type. Also
        when several scans saw other numbers of rows, because some were written in between.

    Raises
    ------
    DataError
        If columns are of another type than the reference's: all of them; or the query fails.
    """
    within = bounded(relation, window, time)
    asked = [
        None
        if column.name == time
        else ask(column, relation.types[column.name], relation.native(column.name), relation.dialect)
        for column in reference.columns
    ]
    if within is None or None in asked:
        return None
    questions = [one for one in asked if one is not None]
    select = partial(relation.select_counts, window, time, where=within.where)
    with reading(relation.engine, subject) as connection:
        answers = _answers(connection, relation.dialect, select, within, questions)
    if answers is None:
        return None
    rows, counts = answers
    found = [question.read(answer, rows) for question, answer in zip(questions, counts, strict=True)]
    if None in found:
        return None
    problems = [one for one in found if isinstance(one, Problem)]
    if problems:
        raise DataError(problems, subject=subject)
    columns = tuple(one for one in found if isinstance(one, ColumnProfile))
    return Profile(model=reference.model, window=window, rows=rows, columns=columns, schema=tuple(schema))


def _answers(
    connection: sa.Connection,
    dialect: str,
    select: Callable[[list[Any]], Statement],
    within: Bounded,
    questions: Sequence[Asked],
) -> tuple[int, list[list[int]]] | None:
    """Return the number of rows and each question's counts; None if times are not read, or scans saw other rows."""
    import sqlalchemy as sa

    rows: set[int] = set()
    counts: list[list[int]] = []
    for part in _parts(dialect, questions):
        odd = [] if within.unread is None else [within.unread, within.zoned]
        head = [sa.func.count(), *(_count(one, dialect) for one in odd)]
        wanted = [one for question in part for one in _wanted(question, dialect)]
        statement, binds = select([*head, *wanted])
        answer = list(connection.execute(statement, binds).one())
        seen, unread, zoned = [*answer[: len(head)], 0, 0][:3]
        if unread or zoned not in (0, seen):
            return None
        rows.add(int(seen))
        counts += _unpacked(answer[len(head) :], part, dialect)
    return (rows.pop(), counts) if len(rows) == 1 else None


def _parts(dialect: str, questions: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """Group questions by query."""
    most = MOST.get(dialect, OTHERS)
    part: list[Asked] = []
    for question in questions:
        if part and most is not None and sum(len(one.conditions) for one in (*part, question)) > most:
            yield part
            part = []
        part.append(question)
    yield part


def _wanted(question: Asked, dialect: str) -> list[Any]:
    from sqlalchemy.dialects.postgresql import array

    counts = [_count(condition, dialect) for condition in question.conditions]
    return [array(counts)] if dialect == "postgresql" else counts


def _count(condition: Any, dialect: str) -> sa.ColumnElement[int]:
    import sqlalchemy as sa

    if dialect in FILTERS:
        return sa.func.count().filter(condition)
    return sa.func.count(sa.case((condition, 1)))


def _unpacked(answers: Sequence[Any], part: Sequence[Asked], dialect: str) -> list[list[int]]:
    if dialect == "postgresql":
        return [list(counts) for counts in answers]
    rest = iter(answers)
    return [[int(next(rest)) for _ in question.conditions] for question in part]
