from __future__ import annotations

from html.parser import HTMLParser

from airflow_mlops.core.records.validation import Check, ValidationReport
from airflow_mlops.reports.validation import render
from airflow_mlops.spec.problems import Problem, ReasonCode

HOSTILE = "<script>alert('x')</script>&\""


def problem(code: ReasonCode = ReasonCode.EXPECTATION_FAILED) -> Problem:
    return Problem(code=code, field=HOSTILE, found=HOSTILE, allowed=HOSTILE, fix=HOSTILE)


def check(severity: str = "error", *, passed: bool = False, unexpected: int | None = 2) -> Check:
    return Check(
        expectation="not_null" if passed else HOSTILE,
        column=HOSTILE,
        severity="error" if severity == "error" else "warning",
        passed=passed,
        rows=10,
        unexpected=unexpected,
        problem=None if passed else problem(),
    )


def report(*checks: Check) -> ValidationReport:
    return ValidationReport(subject=HOSTILE, passed=all(c.passed for c in checks), rows=1234, checks=checks)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_every_text_is_escaped_and_nothing_is_fetched() -> None:
    whole = report(check(), check("warning"), check(passed=True))
    html = render(whole, title=HOSTILE, meta={HOSTILE: HOSTILE}, issues=[problem(ReasonCode.LABELS_MISSING)])
    tags = _Tags()
    tags.feed(html)
    assert "script" not in tags.seen
    assert "link" not in tags.seen
    assert not tags.links
    assert HOSTILE not in html


def test_the_verdict_comes_first_then_errors_then_warnings_then_the_rest() -> None:
    html = render(report(check(), check("warning"), check(passed=True)), title="t", meta={"Window": "w", "Empty": ""})
    order = [
        "not fit to be used: 1 error",
        "What is wrong",
        "Warnings",
        "What passed",
        "What was checked",
        "Counts and",
    ]
    places = [html.index(part) for part in order]
    assert places == sorted(places)
    assert "1,234 rows, 1 check passed, 1 warning" in html
    assert "Empty" not in html
    assert "2 of 10" in html


def test_a_sound_report_says_so_and_nothing_else_first() -> None:
    html = render(report(check(passed=True, unexpected=0)), title="t")
    assert "The data is fit to be used" in html
    assert "What is wrong" not in html
    assert "Warnings" not in html
