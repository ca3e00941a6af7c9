"""Is the data fit to be used? A report of every check; one function turns it into a consequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Column, Snapshot
from airflow_mlops.core.records.validation import Check, ValidationReport
from airflow_mlops.core.rows.types import decoded
from airflow_mlops.core.validation import great_expectations as gx
from airflow_mlops.core.validation import rules
from airflow_mlops.core.validation.plan import CheckedRows, Step
from airflow_mlops.core.validation.schema import Role, Schema, WantedColumn, compare
from airflow_mlops.core.validation.wording import failed, names
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem
from airflow_mlops.spec.validation import Expectation, Severity

if TYPE_CHECKING:
    import pandas as pd


def expectations_for(spec: ModelSpec) -> tuple[Expectation, ...]:
    """Return what the specification implies, then what it says.

    Implied: rows at all, time and key never empty, the key unique, some label, no feature without a value, finite
    numbers, no time after as-of, and a warning for columns that nothing asks for. That columns are there and of
    their type follows from :func:`wanted_columns`. A `columns` expectation of the specification takes the implied
    one's place.

    Examples
    --------
    >>> spec = ModelSpec.model_validate({"name": "m", "owner": "o", "training": {"estimator": "a.B"},
    ...     "data": {"source": {"path": "x"}, "time": "t", "key": "id", "label": "y"}, "features": {"numeric": ["a"]}})
    >>> [e.expect for e in expectations_for(spec)]
    ['row_count', 'not_null', 'unique', 'not_all_null', 'finite', 'not_future', 'columns']
    """
    data, features = spec.data, spec.features
    listed = features.numeric + features.categorical
    numbers = tuple(name for name in features.numeric if name not in (data.time, *data.key))
    implied: list[dict[str, Any]] = [
        {"expect": "row_count", "min": 1},
        {"expect": "not_null", "columns": tuple(dict.fromkeys((data.time, *data.key)))},
        {"expect": "unique", "columns": data.key},
        {"expect": "not_all_null", **({"columns": tuple(dict.fromkeys((data.label, *listed)))} if listed else {})},
        {"expect": "finite", **({"columns": numbers} if numbers else {})},
        {"expect": "not_future", "columns": (data.time,)},
    ]
    if numbers == () and listed:
        implied = [e for e in implied if e["expect"] != "finite"]
    if listed and not any(e.expect == "columns" for e in spec.validation):
        implied.append({"expect": "columns", "extra": "forbid", "severity": "warning"})
    return (*(Expectation.model_validate(each) for each in implied), *spec.validation)


def wanted_columns(spec: ModelSpec) -> tuple[WantedColumn, ...]:
    """Return the columns that the specification gives a role, each once."""
    data, features, gate = spec.data, spec.features, spec.gate
    numeric: Role = "numeric" if features.transformer is None else "numeric or time"
    categorical: Role = "categorical" if features.transformer is None else "categorical or time"
    known = {data.time, *data.key}  # a transformer may be given them, too
    # The gate says itself what it misses; here its columns are merely known, so that nobody is warned of them.
    judged = (*gate.slices.columns, *gate.fairness.columns, *((gate.champion.entity,) if gate.champion.entity else ()))
    wanted = [
        WantedColumn(name=data.time, role="time"),
        *(WantedColumn(name=name, role="key") for name in data.key),
        WantedColumn(name=data.label, role="label"),
        *((WantedColumn(name=data.weight, role="named"),) if data.weight else ()),
        *(WantedColumn(name=name, role="calendar") for name in features.calendar if name != data.time),
        *(WantedColumn(name=name, role=numeric) for name in features.numeric if name not in known),
        *(WantedColumn(name=name, role=categorical) for name in features.categorical if name not in known),
        *(WantedColumn(name=name, role="excluded") for name in (*features.exclude, *judged)),
    ]
    return tuple({(want.name, want.role): want for want in wanted}.values())


def audit(expectations: Iterable[Expectation]) -> tuple[Problem, ...]:
    """Say what is wrong with names and arguments, without a row: for the command line and for tests of a spec."""
    return tuple(problem for each in expectations for problem in _audit(each))


def _audit(expectation: Expectation) -> tuple[Problem, ...]:
    if expectation.expect.startswith("expect_"):
        return gx.audit(expectation)
    problem = rules.audit(expectation)
    return (problem,) if problem else ()


def validate(
    frame: pd.DataFrame,
    expectations: Sequence[Expectation],
    *,
    subject: str,
    source_columns: Sequence[Column] = (),
    wanted_columns: Sequence[WantedColumn] = (),
    as_of: datetime | None = None,
) -> ValidationReport:
    """Check rows against expectations; report every check, raise nothing about the data.

    Parameters
    ----------
    frame
        The rows, any number of columns.
    expectations
        What they must be like; at least one row, when no `row_count` says otherwise. Those on a column that is
        missing, retyped or there twice are not computed: that column's own failed check says so, once.
    subject
        The model's name, or the source in words.
    source_columns
        Every column of the source: a column that is missing may be one of them under a new name.
    wanted_columns
        Columns with a role. Columns that only expectations name are wanted too.
    as_of
        The instant that freshness and future times are measured against, with a time zone.

    Examples
    --------
    >>> import pandas as pd
    >>> frame, never_empty = pd.DataFrame({"a": [1, 2, None]}), Expectation(expect="not_null", column="a")
    >>> report = validate(frame, [never_empty], subject="a.csv")
    >>> print(report.passed, report.problems[0].found)
    False 1 of 3 values (33.33 %) are empty
    """
    if not any(each.expect == "row_count" for each in expectations):
        # Great Expectations passes an empty frame: without this, nothing would ever fail on no rows.
        expectations = (Expectation.model_validate({"expect": "row_count", "min": 1}), *expectations)
    named = [(column, each) for each in expectations for column in _columns_of(each)]
    wanted = _with_named(wanted_columns, named)
    schema = compare(frame, wanted, source_columns, (column for column, _ in named))
    rows = CheckedRows(
        frame=_usable(frame, schema),
        kinds=schema.kinds,
        wanted=wanted,
        extra=schema.extra if wanted_columns else (),
        as_of=as_of,
    )
    checks = [*_schema_checks(schema, wanted, len(frame)), *_checks(expectations, schema, rows)]
    return ValidationReport(
        subject=subject,
        passed=all(check.passed for check in checks if check.severity == "error"),
        rows=len(frame),
        checks=tuple(checks),
    )


def validate_snapshot(
    spec: ModelSpec, snapshot: Snapshot, frame: pd.DataFrame, more: Sequence[Expectation] = ()
) -> ValidationReport:
    """Check a snapshot's rows against its specification, and against `more` expectations."""
    return validate(
        frame,
        (*expectations_for(spec), *more),
        subject=spec.name,
        source_columns=snapshot.source_columns,
        wanted_columns=wanted_columns(spec),
        as_of=snapshot.as_of,
    )


def enforce(report: ValidationReport, *, fail_on: Severity = "error") -> None:
    """Turn the report into its consequence.

    Parameters
    ----------
    report
        What was seen.
    fail_on
        The least severity that is refused. With ``error``, warnings are for the log.

    Raises
    ------
    DataError
        With the problem of every failed check of that severity, errors first.
    """
    refused = [check for check in report.checks if not check.passed and fail_on in (check.severity, "warning")]
    refused.sort(key=lambda check: check.severity)
    if refused or not report.passed:
        problems = [check.problem for check in refused if check.problem]
        raise DataError(problems, subject=f"{report.subject}: data of {report.rows:,} rows is not fit to be used")


def _columns_of(expectation: Expectation) -> tuple[str, ...]:
    sides = [expectation.arguments.get(side) for side in ("left", "right")] if expectation.expect == "compare" else []
    own = gx.mentioned(expectation.arguments) if expectation.expect.startswith("expect_") else ()
    return (*expectation.targets, *(side for side in sides if isinstance(side, str)), *own)


def _with_named(given: Sequence[WantedColumn], named: Sequence[tuple[str, Expectation]]) -> tuple[WantedColumn, ...]:
    """Add the columns that only expectations name: an error when any of these is one."""
    known = {want.name for want in given}
    errors = {column for column, each in named if each.severity == "error"}
    others = dict.fromkeys(
        column for column, each in named if column not in known and each.expect != "expect_column_to_exist"
    )
    return (*given, *(WantedColumn(name=name, severity="error" if name in errors else "warning") for name in others))


def _usable(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    labels = [str(name) for name in frame.columns]
    kept = frame.loc[:, [name not in schema.unusable for name in labels]]
    kept = kept.set_axis([name for name in labels if name not in schema.unusable], axis=1)
    # Numbers and times in categories have no order for pandas; texts are only looked up, and stay as small as they are.
    coded = [n for n in kept if kept[n].dtype == "category" and schema.kinds[str(n)] not in {"text", "empty"}]
    return kept.assign(**{str(name): decoded(kept[name]) for name in coded}) if coded else kept


def _schema_checks(schema: Schema, wanted: Sequence[WantedColumn], rows: int) -> list[Check]:
    sound = [w.name for w in wanted if w.role != "excluded" and w.name not in schema.unusable]
    there = Check(
        expectation="schema", column=names(sound, 50), severity="error", passed=True, rows=rows, unexpected=None
    )
    return [*schema.checks, *([there] if sound else [])]


def _checks(expectations: Sequence[Expectation], schema: Schema, rows: CheckedRows) -> list[Check]:
    """Plan everything, run Great Expectations once, and put the checks back in the order they were asked for."""
    planned: list[tuple[int, Step | Check]] = []
    for place, each in enumerate(expectations):
        problems = _audit(each)
        planned += [(place, _refused(each, problem, len(rows.frame))) for problem in problems]
        planned += [(place, one) for one in ([] if problems else _plan(each, schema, rows))]
    places = [index for index, (_, one) in enumerate(planned) if isinstance(one, Step)]
    results = gx.run([one for _, one in planned if isinstance(one, Step)], rows)
    done = dict(zip(places, (results[n] for n in range(len(places))), strict=True))
    whole = [(place, one if isinstance(one, Check) else done[index]) for index, (place, one) in enumerate(planned)]
    return [
        check for _, group in groupby(whole, key=lambda pair: pair[0]) for check in _together([c for _, c in group])
    ]


def _plan(expectation: Expectation, schema: Schema, rows: CheckedRows) -> Iterable[Step | Check]:
    columns = _columns_of(expectation)
    usable = tuple(column for column in columns if column not in schema.unusable)
    if columns and not usable:
        return []
    # Of several targets those that can be looked at are; what else is named, such as by a row_condition, is needed.
    others = [column for column in columns if column not in expectation.targets]
    if expectation.targets and expectation.expect not in {"unique", "compare"} and all(o in usable for o in others):
        targets = tuple(column for column in expectation.targets if column in usable)
        expectation = expectation.model_copy(update={"column": None, "columns": targets})
    elif usable != columns:
        return []
    if expectation.expect.startswith("expect_"):
        return gx.plan(expectation)
    return rules.RULES[expectation.expect].plan(expectation, rows)


def _refused(expectation: Expectation, problem: Problem, rows: int) -> Check:
    """An expectation that cannot be understood is an error whatever its severity: nothing was checked by it."""
    return failed(
        expectation.expect,
        problem.field.removeprefix("validation."),
        rows,
        found=problem.found,
        allowed=problem.allowed,
        fix=problem.fix,
        code=problem.code,
    )


def _together(checks: Sequence[Check]) -> list[Check]:
    """Say in one check what holds for several columns of one expectation: reports travel through XCom."""
    plain = [check for check in checks if check.passed and not check.unexpected]
    if len(plain) < 2:  # noqa: PLR2004
        return list(checks)
    first = plain[0]
    merged = Check(
        expectation=first.expectation,
        column=names([check.column for check in plain], shown=50),
        severity=first.severity,
        passed=True,
        rows=first.rows,
        unexpected=first.unexpected,
    )
    return [check for check in checks if check not in plain] + [merged]
