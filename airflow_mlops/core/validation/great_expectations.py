"""Great Expectations: the only module that speaks to it.

Nothing of a row leaves this module: results are asked for without values, observed values are kept only where they
are counts or types, and messages of exceptions, which may quote a value, are replaced by our own.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.records.validation import Check
from airflow_mlops.core.validation.plan import CheckedRows, Step
from airflow_mlops.core.validation.row_filter import matching_rows
from airflow_mlops.core.validation.wording import failed, names, passed, share
from airflow_mlops.spec.named_code import import_problem
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.row_conditions import RowCondition, columns_of, parse_condition
from airflow_mlops.spec.suggest import did_you_mean
from airflow_mlops.spec.validation import Expectation

if TYPE_CHECKING:
    import pandas as pd

CELLS = 1_000_000
"""Cells of one batch. Great Expectations copies the batch for every expectation, so a wide batch costs most of the
time: 5 range checks on 1M rows took 1.6 s with 30 columns in the batch and 0.3 s with one.
Small frames are one batch."""
_RESULT = {"result_format": "BASIC", "partial_unexpected_count": 0, "exclude_unexpected_values": True}
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B")
_OBSERVED_IS_SAFE = (
    "expect_table_row_count",
    "expect_table_column_count",
    "expect_column_unique_value_count",
    "expect_column_proportion",
    "expect_column_values_to_be_of_type",
    "expect_column_values_to_be_in_type_list",
)
"""Names whose observed value is a count, a share or a type. A maximum, a quantile or a set is made of data."""
_CONDITION = {"row_condition", "condition_parser"}
_NOT_TAKEN = {"result_format", "catch_exceptions", "rendered_content", "id", "meta", "batch_id"}
_ELSEWHERE = {
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
}
"""Need a database of their own: rows are what is checked here."""


@cache
def library() -> Any:
    """Import Great Expectations, quietly: it logs a line for each of its functions."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with _quiet():
        import great_expectations as gx
    # One of its modules sets a level of its own, and then tells of every folder that it makes and removes.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    return gx


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the deprecations that nobody here can mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="module 'sre_", category=DeprecationWarning)
        yield


def known_names() -> list[str]:
    """Names that can be asked for, sorted."""
    library()
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    return sorted(set(list_registered_expectation_implementations()) - _ELSEWHERE)


def arguments_of(expectation: Expectation) -> list[dict[str, Any]]:
    """Return the keyword arguments for Great Expectations: one set for each of `columns`."""
    given = expectation.arguments
    given |= {n: getattr(expectation, n) for n in ("mostly", "max_age") if n in expectation.model_fields_set}
    return [{**given, "column": column} for column in expectation.targets] or [given]


def audit(expectation: Expectation) -> tuple[Problem, ...]:
    """Say what is wrong with the name or the arguments, before any row is read."""
    known = known_names()
    if expectation.expect not in known:
        return (
            Problem(
                code=ReasonCode.EXPECTATION_UNKNOWN,
                field=f"validation.{expectation.expect}",
                found=f"no expectation '{expectation.expect}'",
                allowed=f"one of {len(known)} Great Expectations names that check rows",
                fix=did_you_mean(expectation.expect, known) or "see the gallery of Great Expectations for names",
            ),
        )
    foreign = _foreign(expectation.expect)
    return (foreign,) if foreign else _wrong_arguments(expectation.expect, arguments_of(expectation)[0])


def _foreign(name: str) -> Problem | None:
    """Say that an expectation is neither Great Expectations' own nor of a module that the platform allows."""
    home = str(_kind(name).__module__)
    if home.startswith("great_expectations."):
        return None
    return import_problem(f"{home}.{name}", f"validation.{name}")


def _wrong_arguments(name: str, kwargs: Mapping[str, Any]) -> tuple[Problem, ...]:
    takes = sorted(set(_kind(name).__fields__) - _NOT_TAKEN - {"severity", "windows"})
    said = {str(key): "not taken" for key in _NOT_TAKEN & set(kwargs)}
    if "row_condition" in kwargs and "row_condition" not in takes:
        said["row_condition"] = "not taken"
    try:
        _make(name, {key: value for key, value in kwargs.items() if key not in said and key not in _CONDITION})
    except (ValueError, TypeError) as error:
        unknown = [{"loc": ("arguments",), "msg": type(error).__name__}]
        details: list[dict[str, Any]] = error.errors() if hasattr(error, "errors") else unknown
        # "Neither bound given" follows from a misspelt bound: say the cause only.
        for detail in [d for d in details if d["loc"] != ("__root__",)] or details:
            place = ".".join(str(part) for part in detail["loc"] if part != "__root__") or "arguments"
            said.setdefault(place, "not taken" if detail["msg"].startswith("extra") else detail["msg"])
    return tuple(
        Problem(
            code=ReasonCode.SPEC_INVALID_VALUE,
            field=f"validation.{name}.{place}",
            found=f"'{place}': {message}",
            allowed=f"arguments {', '.join(takes)}",
            fix=("" if place in takes else did_you_mean(place, takes)) or "correct the expectation's arguments",
        )
        for place, message in said.items()
    )


def _kind(name: str) -> Any:
    from great_expectations.expectations.registry import get_expectation_impl

    return get_expectation_impl(name)


def _make(name: str, kwargs: Mapping[str, Any]) -> Any:
    with _quiet():
        return _kind(name)(**kwargs)


def plan(expectation: Expectation) -> Iterator[Step]:
    """Turn an expectation of Great Expectations' own into steps. Its audit has passed."""
    for kwargs in arguments_of(expectation):
        columns = mentioned({key: value for key, value in kwargs.items() if key not in _CONDITION})
        yield Step(
            expectation=expectation,
            # A column that is asked to exist may not.
            columns=() if expectation.expect == "expect_column_to_exist" else columns,
            about=names(columns),
            type=expectation.expect,
            # Which rows it is about is ours to find: the library would run the condition as code.
            kwargs={key: value for key, value in kwargs.items() if key not in _CONDITION},
            only=parse_condition(kwargs["row_condition"]) if kwargs.get("row_condition") else None,
            allowed=names((f"{key} {value}" for key, value in kwargs.items() if value not in columns), 6)
            or "what the expectation says",
        )


def mentioned(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns that the arguments name."""
    single = [kwargs[name] for name in _COLUMN_ARGUMENTS if isinstance(kwargs.get(name), str)]
    several = kwargs.get("column_list") or ()
    asked = columns_of(parse_condition(kwargs["row_condition"])) if kwargs.get("row_condition") else ()
    return (*single, *(name for name in several if isinstance(name, str)), *asked)


def run(steps: Iterable[Step], rows: CheckedRows) -> dict[int, Check]:
    """Run steps on the rows; return each step's check by its place in `steps`."""
    numbered = list(enumerate(steps))
    if not numbered:
        return {}
    context = library().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batch = (
        context.data_sources.add_pandas("rows").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    checks: dict[int, Check] = {}
    number = 0
    for only in dict.fromkeys(step.only for _, step in numbered):
        asked = [(place, step) for place, step in numbered if step.only == only]
        chosen = _chosen(rows.frame, only)
        if chosen is None:
            checks |= {place: _not_compared(step, rows) for place, step in asked}
            continue
        for columns, bundle in _bundles(asked, chosen):
            frame = chosen[list(columns)] if columns else chosen
            with _quiet():
                results = _results(context, batch, f"bundle-{number}", [step for _, step in bundle], frame)
            checks |= {place: _check(step, result, rows) for (place, step), result in zip(bundle, results, strict=True)}
            number += 1
    return checks


def _chosen(frame: pd.DataFrame, only: RowCondition | None) -> pd.DataFrame | None:
    """Return the rows that a condition holds for; None where its values do not compare with the columns'."""
    if only is None:
        return frame
    try:
        return frame[matching_rows(frame, only)]
    except (TypeError, ValueError):  # their words may quote a value
        return None


def _not_compared(step: Step, rows: CheckedRows) -> Check:
    asked = columns_of(step.only) if step.only is not None else ()
    kinds = names(f"{column}: {rows.kinds.get(column, 'unknown')}" for column in asked)
    return failed(
        step.expectation.expect,
        step.about,
        len(rows.frame),
        found=f"a row_condition whose values do not compare with its columns ({kinds})",
        allowed="literals of the columns' own kind",
        fix="correct the row_condition",
        code=ReasonCode.SPEC_INVALID_VALUE,
        severity=step.expectation.severity,
    )


def _bundles(
    steps: Sequence[tuple[int, Step]], frame: pd.DataFrame
) -> Iterator[tuple[tuple[str, ...], list[tuple[int, Step]]]]:
    """Group steps so that a batch has few columns where rows are many."""
    columns: tuple[str, ...] = ()
    bundle: list[tuple[int, Step]] = []
    for place, step in sorted((s for s in steps if s[1].columns), key=lambda s: s[1].columns):
        union = tuple(dict.fromkeys((*columns, *step.columns)))
        if bundle and set(union) != set(columns) and len(frame) * len(union) > CELLS:
            yield columns, bundle
            union, bundle = step.columns, []
        columns, bundle = union, [*bundle, (place, step)]
    if bundle:
        yield columns, bundle
    whole = [(place, step) for place, step in steps if not step.columns]
    if whole:
        yield (), whole


def _results(context: Any, batch: Any, name: str, steps: Sequence[Step], frame: pd.DataFrame) -> list[Any]:
    gx = library()
    suite = gx.ExpectationSuite(name=name)
    for place, step in enumerate(steps):
        # Suites drop an expectation that equals another one, descriptions included; the mark finds the result again.
        suite.add_expectation(
            _make(step.type, {**step.kwargs, "description": f"step {place}", "meta": {"step": place}})
        )
    definition = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
    outcome = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": frame}, result_format=_RESULT
    )
    by_mark = {result.expectation_config.meta["step"]: result for result in outcome.results}
    return [by_mark[place] for place in range(len(steps))]


def _check(step: Step, result: Any, rows: CheckedRows) -> Check:
    seen: Mapping[str, Any] = result.result or {}
    unexpected, total = _unexpected(step, seen), len(rows.frame)
    if result.success:
        return passed(step.expectation, step.about, total, unexpected)
    return failed(
        step.expectation.expect,
        step.about,
        total,
        found=_found(step, result, rows),
        allowed=step.allowed,
        fix=step.fix if not _raised(result) else "check that the arguments fit the column's type",
        code=step.code,
        severity=step.expectation.severity,
        unexpected=unexpected,
    )


def _unexpected(step: Step, seen: Mapping[str, Any]) -> int | None:
    """Rows that break it. For sets of distinct values, Great Expectations counts values, and the others wrongly."""
    count: int | None = None if "distinct_values" in step.type else seen.get("unexpected_count")
    return count


def _found(step: Step, result: Any, rows: CheckedRows) -> str:
    seen: Mapping[str, Any] = result.result or {}
    unexpected = _unexpected(step, seen)
    if _raised(result):
        kinds = names(f"{column}: {rows.kinds.get(column, 'unknown')}" for column in step.columns)
        return "nothing: it could not be computed" + (f" ({kinds})" if kinds else "")
    if unexpected is not None:
        present = seen.get("element_count", 0) - (seen.get("missing_count") or 0)
        noun = "values" if len(step.columns) == 1 else "rows"
        return f"{share(unexpected, present, noun)} {step.broken}"
    if step.type.startswith(_OBSERVED_IS_SAFE) and "observed_value" in seen:
        observed = seen["observed_value"]
        return f"{observed:,} rows" if "row_count" in step.type else str(observed)
    return "a result that is not allowed"


def _raised(result: Any) -> bool:
    info = result.exception_info or {}
    nested = [part for part in info.values() if isinstance(part, dict)]
    return any(part.get("raised_exception") for part in [info, *nested])
