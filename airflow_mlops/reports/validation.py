"""The validation report as one HTML page: the verdict first, then what to do, then everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from airflow_mlops.core.records.validation import Check, ValidationReport
from airflow_mlops.reports.html import banner, facts, mark, page, section, table
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
    return page(
        title,
        _verdict(report, len(errors), len(warnings), len(sound)),
        _failures("What is wrong, and what to do", errors, "bad"),
        _failures("Warnings: these stop nothing", warnings, "unsure"),
        _issues(tuple(issues)),
        _passed(sound),
        section("What was checked", facts({name: value for name, value in context.items() if value})),
        '<p class="soft">Counts and names only: this page holds no value of the data.</p>',
    )


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _verdict(report: ValidationReport, errors: int, warnings: int, sound: int) -> str:
    counts = ", ".join([_plural(report.rows, "row"), f"{_plural(sound, 'check')} passed", _plural(warnings, "warning")])
    if report.passed:
        return banner("good", "The data is fit to be used", [counts])
    return banner("bad", f"The data is not fit to be used: {_plural(errors, 'error')}", [counts])


def _failures(heading: str, checks: Sequence[Check], tone: str) -> str:
    if not checks:
        return ""
    rows = [_failure(check, check.problem, tone) for check in checks if check.problem]
    return section(heading, table(["About", "Check", "Found", "Allowed", "To do"], rows))


def _failure(check: Check, problem: Problem, tone: str) -> tuple[str, ...]:
    plain = problem.code == ReasonCode.EXPECTATION_FAILED
    wrong = _said(check.expectation) if plain else str(problem.code).replace("_", " ")
    about = check.column or "whole table"
    fix = f"<b>{escape(problem.fix)}</b>"
    return (mark(tone, about), escape(wrong), escape(problem.found), escape(problem.allowed), fix)


def _said(expectation: str) -> str:
    """Say an expectation in words; Great Expectations' names say themselves."""
    return _WORDS.get(expectation, expectation.removeprefix("expect_").replace("_", " "))


def _issues(issues: Sequence[Problem]) -> str:
    if not issues:
        return ""
    rows = [(escape(issue.field), escape(issue.found), escape(issue.fix)) for issue in issues]
    return section("Known before the checks", table(["About", "Found", "What was done, or can be"], rows))


def _passed(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    rows = [(escape(_said(c.expectation)), escape(c.column) or "whole table", _exceptions(c)) for c in checks]
    return section("What passed", table(["Check", "Columns", "Rows let through"], rows, numbers=frozenset({2})))


def _exceptions(check: Check) -> str:
    """Rows that break an expectation which allows some to."""
    return f"{check.unexpected:,} of {check.rows:,}" if check.unexpected else ""
