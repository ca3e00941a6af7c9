"""The validation report as one HTML page: the verdict first, then what to do, then everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.validation import Check, ValidationReport
from airflow_mlops.core.text import spell_out
from airflow_mlops.reports.html import Banner, render_page
from airflow_mlops.spec.problems import Problem, ReasonCode

_WORDS = {
    "schema": "columns are there, of the right type",
    "row_count": "number of rows",
    "not_null": "never empty",
    "unique": "no value twice",
    "between": "values within bounds",
    "in_set": "values of the set",
    "type": "type of values",
    "finite": "no infinite number",
    "freshness": "recent enough",
    "compare": "columns agree with each other",
    "columns": "no extra column",
    "not_all_null": "not entirely empty",
    "not_future": "no time after as-of",
}


def render(
    report: ValidationReport, *, title: str, meta: Mapping[str, str] | None = None, issues: Iterable[Problem] = ()
) -> str:
    """Write the report as a page that needs nothing but itself.

    Parameters
    ----------
    report
        What was checked.
    title
        Heading of the page, such as the DAG and the run.
    meta
        Context, in the order to be shown: window, source, as-of, fingerprint. Empty values are left out.
    issues
        Known issues of the rows, and how each was treated before the checks.

    Returns
    -------
    str
        HTML with its style inside; every text in it is escaped.
    """
    failed = [check for check in report.checks if not check.passed]
    errors = [check for check in failed if check.severity == "error"]
    warnings = [check for check in failed if check.severity == "warning"]
    sound = [check for check in report.checks if check.passed]
    context = {"Subject": report.subject, "Rows": f"{report.rows:,}", **(meta or {})}
    sections = (
        _failures("What is wrong, and what to do", errors, "bad"),
        _failures("Warnings: these stop nothing", warnings, "unsure"),
        _issues(tuple(issues)),
        _passed(sound),
        Section(title="What was checked", facts={name: value for name, value in context.items() if value}),
    )
    return render_page(
        title,
        [section for section in sections if section.rows or section.facts],
        banner=_verdict(report, len(errors), len(warnings), len(sound)),
        note="Counts and names only: this page holds no value of the data.",
    )


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _verdict(report: ValidationReport, errors: int, warnings: int, sound: int) -> Banner:
    counts = ", ".join([_plural(report.rows, "row"), f"{_plural(sound, 'check')} passed", _plural(warnings, "warning")])
    if report.passed:
        return Banner(tone="good", verdict="The data is fit to be used", reasons=[counts])
    wrong = f"The data is not fit to be used: {_plural(errors, 'error')}"
    return Banner(tone="bad", verdict=wrong, reasons=[counts])


def _failures(title: str, checks: Sequence[Check], tone: str) -> Section:
    rows = tuple(_failure(check, check.problem) for check in checks if check.problem)
    return Section(
        title=title,
        headings=("About", "Check", "Found", "Allowed", "To do"),
        rows=rows,
        tones=tuple((tone,) for _ in rows),
    )


def _failure(check: Check, problem: Problem) -> tuple[str, ...]:
    plain = problem.code == ReasonCode.EXPECTATION_FAILED
    wrong = _said(check.expectation) if plain else spell_out(str(problem.code))
    return check.column or "whole table", wrong, problem.found, problem.allowed, problem.fix


def _said(expectation: str) -> str:
    """Say an expectation in words; Great Expectations' names say themselves."""
    return _WORDS.get(expectation, spell_out(expectation.removeprefix("expect_")))


def _issues(issues: Sequence[Problem]) -> Section:
    return Section(
        title="Known before the checks",
        headings=("About", "Found", "What was done, or can be"),
        rows=tuple((issue.field, issue.found, issue.fix) for issue in issues),
    )


def _passed(checks: Sequence[Check]) -> Section:
    return Section(
        title="What passed",
        headings=("Check", "Columns", "Rows let through"),
        rows=tuple((_said(check.expectation), check.column or "whole table", _exceptions(check)) for check in checks),
    )


def _exceptions(check: Check) -> str:
    """Rows that break an expectation which allows some to."""
    return f"{check.unexpected:,} of {check.rows:,}" if check.unexpected else ""
