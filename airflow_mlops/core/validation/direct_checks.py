"""The short names that Great Expectations has no expectation for, or only a slow one: computed at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.records.validation import Check
from airflow_mlops.core.rows.types import ValueKind
from airflow_mlops.core.validation.plan import CheckedRows
from airflow_mlops.core.validation.wording import age, failed, names, passed, share
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.types import format_duration
from airflow_mlops.spec.validation import Expectation

if TYPE_CHECKING:
    import pandas as pd


TYPES: Mapping[str, tuple[ValueKind, ...]] = {
    "number": ("number",),
    "integer": ("number",),
    "string": ("text",),
    "boolean": ("boolean",),
    "time": ("time",),
}


def check_type(expectation: Expectation, rows: CheckedRows) -> Iterator[Check]:
    """Compare the kind of values with the one asked for."""
    asked = str(expectation.arguments["type"])
    for column in expectation.targets:
        series, kind, total = rows.frame[column], rows.kinds[column], len(rows.frame)
        broken = _fractions(series) if asked == "integer" and kind == "number" else 0
        if kind in (*TYPES[asked], "empty") and not broken:
            yield passed(expectation, column, total)
            continue
        yield failed(
            "type",
            column,
            total,
            found=f"{share(broken, total, 'values')} that are no whole numbers"
            if broken
            else f"{kind} ({series.dtype})",
            allowed=asked,
            fix="cast it at the source, or change the type asked for",
            code=ReasonCode.TIME_INVALID if asked == "time" else ReasonCode.COLUMN_RETYPED,
            severity=expectation.severity,
            unexpected=broken or None,
        )


def _fractions(series: pd.Series) -> int:
    values = _floats(series.dropna())
    return int((values % 1 != 0).sum())  # infinite % 1 is NaN, and NaN != 0: infinities count


def _floats(series: pd.Series) -> Any:
    import numpy as np
    import pandas as pd

    return np.asarray(pd.to_numeric(series, errors="coerce").to_numpy(dtype="float64", na_value=np.nan))


def check_finite(expectation: Expectation, rows: CheckedRows) -> Iterator[Check]:
    """Count infinite numbers; NaN is an empty value, which `not_null` counts."""
    import numpy as np

    asked = expectation.targets or tuple(name for name, kind in rows.kinds.items() if kind == "number")
    given = set(rows.role("numeric or time"))  # a transformer may be given times in the list of numbers
    for column in (name for name in asked if name in rows.frame):
        kind = rows.kinds[column]
        if kind in {"boolean", "empty"} or (kind == "time" and column in given):
            yield passed(expectation, column, len(rows.frame), 0)
        elif kind != "number":
            yield _not_of("numbers", "finite", column, expectation, rows)
        else:
            count = int(np.isinf(_floats(rows.frame[column])).sum())
            yield _counted(
                expectation,
                column,
                rows,
                count,
                broken="are infinite",
                allowed="finite numbers",
                fix="look for a division by zero at the source; write unknown values as empty",
                code=ReasonCode.VALUE_NOT_FINITE,
            )


def _counted(
    expectation: Expectation,
    column: str,
    rows: CheckedRows,
    count: int,
    *,
    broken: str,
    allowed: str,
    fix: str,
    code: ReasonCode,
) -> Check:
    total = len(rows.frame)
    if not count:
        return passed(expectation, column, total, 0)
    return failed(
        expectation.expect,
        column,
        total,
        found=f"{share(count, total)} {broken}",
        allowed=allowed,
        fix=fix,
        code=code,
        severity=expectation.severity,
        unexpected=count,
    )


def _not_of(what: str, name: str, column: str, expectation: Expectation, rows: CheckedRows) -> Check:
    return failed(
        name,
        column,
        len(rows.frame),
        found=f"{rows.kinds[column]} ({rows.frame[column].dtype})",
        allowed=f"a column of {what}",
        fix="cast it at the source, or take the expectation off this column",
        code=ReasonCode.TIME_INVALID if what == "times" else ReasonCode.COLUMN_RETYPED,
        severity=expectation.severity,
    )


def check_not_all_null(expectation: Expectation, rows: CheckedRows) -> Iterator[Check]:
    """Ask for one value at least."""
    total = len(rows.frame)
    for column in expectation.targets or tuple(map(str, rows.frame.columns)):
        if column not in rows.frame or not total or rows.frame[column].notna().any():
            yield passed(expectation, column, total)
            continue
        label = column in rows.role("label")
        yield failed(
            "not_all_null",
            column,
            total,
            found=f"all {total:,} rows are empty",
            allowed="at least one known label" if label else "at least one value",
            fix="check that outcomes have arrived; raise data.label_delay if they come later"
            if label
            else "fill the column at the source, or take it out of the features",
            code=ReasonCode.LABELS_MISSING if label else ReasonCode.COLUMN_ALL_NULL,
            severity=expectation.severity,
            unexpected=total,
        )


def _utc(series: pd.Series) -> pd.Series:
    import pandas as pd

    return pd.to_datetime(series, utc=True)


def _untimed(expectation: Expectation, rows: CheckedRows, found: str, fix: str) -> Check:
    return failed(
        expectation.expect,
        "",
        len(rows.frame),
        found=found,
        allowed="an event-time column and an as-of time",
        fix=fix,
        code=ReasonCode.SPEC_INVALID_VALUE,
        severity=expectation.severity,
    )


def check_not_future(expectation: Expectation, rows: CheckedRows) -> Iterator[Check]:
    """Count times after as-of."""
    columns = expectation.targets or rows.role("time")
    if rows.as_of is None or not (columns or rows.has_role("time")):
        yield _untimed(expectation, rows, _lack(rows, columns), "give time= and as_of=")
        return
    for column in columns:
        if rows.kinds[column] not in {"time", "empty"}:
            yield _not_of("times", "not_future", column, expectation, rows)
            continue
        late = int((_utc(rows.frame[column]) > rows.as_of).sum())
        yield _counted(
            expectation,
            column,
            rows,
            late,
            broken="lie after the as-of time",
            allowed=f"no time after {rows.as_of.isoformat()}",
            fix="check clocks and time zones at the source",
            code=ReasonCode.TIME_IN_FUTURE,
        )


def _lack(rows: CheckedRows, columns: tuple[str, ...]) -> str:
    return " and ".join([*(["no as-of time"] if rows.as_of is None else []), *([] if columns else ["no time column"])])


def check_freshness(expectation: Expectation, rows: CheckedRows) -> Iterator[Check]:
    """Compare the newest event time with as-of."""
    columns, limit = rows.role("time"), expectation.max_age
    if rows.as_of is None or not rows.has_role("time") or limit is None:
        yield _untimed(expectation, rows, _lack(rows, columns), "give time= and as_of=")
        return
    for column in columns:
        newest = _utc(rows.frame[column]).max()
        known = bool(rows.frame[column].notna().any())
        if known and rows.as_of - newest <= limit:
            yield passed(expectation, column, len(rows.frame))
            continue
        yield failed(
            "freshness",
            column,
            len(rows.frame),
            found=f"the newest row is {age(rows.as_of - newest)} older than as-of" if known else "no time at all",
            allowed=f"at most {format_duration(limit)}",
            fix="check that the source is still being filled",
            code=ReasonCode.EXPECTATION_FAILED,
            severity=expectation.severity,
        )


def check_columns(expectation: Expectation, rows: CheckedRows) -> Iterator[Check]:
    """Name the columns that nothing asks for."""
    total, extra = len(rows.frame), rows.extra if rows.wanted else ()
    if expectation.arguments["extra"] == "allow" or not extra:
        yield passed(expectation, "", total)
        return
    yield failed(
        "columns",
        "",
        total,
        found=f"{len(extra)} {'column' if len(extra) == 1 else 'columns'} that nothing asks for: {names(extra)}",
        allowed="the columns of the specification",
        fix="list them under features.exclude, or write {expect: columns, extra: allow}",
        code=ReasonCode.COLUMN_EXTRA,
        severity=expectation.severity,
    )
