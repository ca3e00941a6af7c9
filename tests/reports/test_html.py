"""Whatever a record says, a page of it says the same and holds no element and no attribute of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any, get_type_hints

import pytest
from jinja2 import UndefinedError

from airflow_mlops.core.gate import sections_of
from airflow_mlops.core.records.backtest import BacktestReport, Line, Turn
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.validation import Check, ValidationReport
from airflow_mlops.reports import html
from airflow_mlops.reports.backtest.page import render as render_backtest
from airflow_mlops.reports.backtest.tables import NAMES
from airflow_mlops.reports.decision.page import render as render_decision
from airflow_mlops.reports.html import number_columns, render_page
from airflow_mlops.reports.model_card.card import card
from airflow_mlops.reports.sections import section_markdown
from airflow_mlops.reports.validation import render as render_validation
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from tests.support.decisions import AS_OF, candidate, decision, evidence, rule, snapshot

SAFE, HOSTILE = "plain", """<script>alert(1)</script>' "onload=alert(1) x="{{ 7 * 7 }}{% raw %}&lt;"""
CLOSED = {"policy", "rule"}
"""Fields whose words the code knows all of; `rule` is poisoned where the test says so."""


def poison(value: Any, word: str, closed: frozenset[str]) -> Any:
    """The record with a word behind every text: in nested records, in tuples, and in keys and values of mappings."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return f"{value}{word}"
    if isinstance(value, Mapping):
        return {poison(key, word, closed): poison(item, word, closed) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(poison(item, word, closed) for item in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    hints = get_type_hints(type(value))
    free = [f.name for f in fields(value) if f.init and f.name not in closed and "Literal" not in str(hints[f.name])]
    return replace(value, **{name: poison(getattr(value, name), word, closed) for name in free})


class Parsed(HTMLParser):
    """Elements with the names of their attributes, values of attributes, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[tuple[str, tuple[str, ...]]] = set()
        self.values: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, tuple(name for name, _ in attrs)))
        self.values += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def turn(day: int) -> Turn:
    return Turn(
        as_of=AS_OF + timedelta(days=day), action="retrain", retrained=True, promoted=True, serving=AS_OF,
        reason="new rows", rows=100, loss=0.4 + day / 100, behind=True,
    )  # fmt: skip


def line(policy: str, **changes: Any) -> Line:
    values: dict[str, Any] = {
        "policy": policy, "turns": (turn(0), turn(7)), "retrainings": 1, "promotions": 1, "mean_loss": 0.41,
        "worst_loss": 0.5, "worst_step": AS_OF, "recovery_days": 7.0, "longest_days": None, "decays": 1,
        "false_alarms": 0, "escalations": 0, "compute_seconds": 12.3,
    }  # fmt: skip
    return Line(**{**values, **changes})


def backtest() -> BacktestReport:
    return BacktestReport(
        model="orders", spec_fingerprint="s" * 5, data_fingerprint="d" * 5, start=datetime(2026, 3, 1, tzinfo=UTC),
        end=datetime(2026, 3, 15, tzinfo=UTC), every_seconds=604_800, metric="log_loss", greater_is_better=False,
        lines=tuple(map(line, NAMES)), grid=(line("specification", settings={"gate.x": "1"}, pareto=True),),
        notes=("something was left out",),
    )  # fmt: skip


def validation() -> ValidationReport:
    broken = Problem(code=ReasonCode.EXPECTATION_FAILED, field="f", found="2 of 10", allowed="none", fix="look")
    unlike = replace(broken, code=ReasonCode.LABELS_MISSING)
    values: dict[str, Any] = {"column": "amount", "rows": 10, "unexpected": 2}
    checks = (
        Check(expectation="expect_it", severity="error", passed=False, problem=broken, **values),
        Check(expectation="between", severity="warning", passed=False, problem=unlike, **values),
        Check(expectation="unique", severity="error", passed=True, problem=None, **values),
    )
    return ValidationReport(subject="orders", passed=False, rows=1234, checks=checks)


def judged() -> Any:
    rules = (
        rule(), rule("slices", Verdict.REJECT, metric="shop", code=ReasonCode.SLICE_WORSE, enforced=False),
        rule("leakage", Verdict.INCONCLUSIVE, detectable=0.004, rows_needed=91_000),
    )  # fmt: skip
    return decision(Verdict.ACCEPT, *rules, evidence=evidence(), mode="dry_run", would=Verdict.REJECT)


SPEC = ModelSpec.model_validate({
    "name": "orders", "owner": "sales", "data": {"source": {"path": "o/"}, "time": "t", "key": "id", "label": "paid"},
    "training": {"estimator": "sklearn.linear_model.Ridge"}, "limitations": ["few rows"],
})  # fmt: skip


def pages(word: str) -> dict[str, str]:
    names = frozenset(CLOSED)
    found = card(
        spec=SPEC, candidate=candidate(), snapshot=snapshot(), decision=judged(), promotion=None, approval=None,
        evidence=sections_of(SPEC, candidate(), judged()),
        links={"run": "https://mlflow.example/#/runs/abc", "bucket": "s3://b/k"},
    )  # fmt: skip
    report = validation()
    issue = Problem(code=ReasonCode.LABELS_MISSING, field="f", found="812", allowed="-", fix="left out")
    of, decided, opened = (
        poison(candidate(), word, names),
        poison(judged(), word, names),
        poison(judged(), word, frozenset()),
    )
    return {
        "decision": render_decision(decided, of, (f"Look.{word}",), evidence=sections_of(SPEC, of, decided)),
        "rules": render_decision(opened, of, (), evidence=sections_of(SPEC, of, opened)),
        "validation": render_validation(
            poison(report, word, names), title=f"t{word}", meta={f"Window{word}": f"w{word}"},
            issues=[poison(issue, word, names)],
        ),
        "backtest": render_backtest(poison(backtest(), word, names)),
        "card": poison(found, word, names).to_html(),
    }  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    return pages(SAFE)


@pytest.fixture(scope="module")
def hostile() -> dict[str, str]:
    return pages(HOSTILE)


@pytest.mark.parametrize(
    ("name", "least"), [("decision", 60), ("rules", 50), ("validation", 15), ("backtest", 15), ("card", 60)]
)
def test_no_element_and_no_attribute_of_a_page_comes_from_the_data(
    plain: dict[str, str], hostile: dict[str, str], name: str, least: int
) -> None:
    sound, attacked = Parsed(plain[name]), Parsed(hostile[name])
    assert attacked.text.count("<script>alert(1)") >= least, "the words are there, as words"
    assert attacked.elements <= sound.elements | {("title", ())}
    assert {tag for tag, _ in attacked.elements}.isdisjoint({"script", "img", "iframe", "link"})
    assert not [name for _, names in attacked.elements for name in names if name.startswith("on")]
    carriers = {key for key, value in attacked.values if "alert(1)" in value}
    assert carriers <= {"aria-label", "data-name", "href"}
    assert all(value.startswith("https://") for key, value in attacked.values if key == "href")
    assert "49" not in {word.strip("<>&;\"'") for word in attacked.text.split()}, "a text is no template"


def test_what_a_template_does_not_know_is_an_error_and_not_an_empty_place() -> None:
    with pytest.raises(UndefinedError):
        html._environment().get_template("page.html").render(title="t")


def test_templates_lie_in_the_package() -> None:
    found = {file.name for file in files("airflow_mlops.reports").joinpath("templates").iterdir()}
    assert {"page.html", "section.html", "page.css"} <= found


def test_the_modules_of_the_reports_do_not_load_the_template_engine() -> None:
    script = """
import pkgutil, importlib, sys
import airflow_mlops.reports as reports
names = [module.name for module in pkgutil.walk_packages(reports.__path__, "airflow_mlops.reports.")]
for name in names:
    importlib.import_module(name)
print(len(names) > 10, {"jinja2", "markupsafe"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True set()"


PART = Section(
    title="Slices", key="slices", sentences=("One.",), points=("a", "b"), ranked=True, facts={"n": "v"},
    headings=("stands", "slice", "rows", "drop"), tones=(("bad",), ("", "", "", "good"), ()),
    rows=(("worse", "shop = x", "1,234", "0.1\n(0.0 to 0.2)"), ("", "shop = <y>", "7", "none"), ("", "z", "5", "-")),
)  # fmt: skip


def test_a_section_reads_the_same_as_a_page_and_as_markdown() -> None:
    page, text = render_page("t", [PART], most=2), section_markdown(PART, level=3, most=2)
    assert number_columns(PART) == {2, 3}
    assert '<span class="mark bad">worse</span>' in page
    assert '<td class="number">0.1<br><span class="soft">(0.0 to 0.2)</span></td>' in page
    assert "<ol><li>a</li><li>b</li></ol>" in page
    assert "shop = &lt;y&gt;" in page
    assert "| worse | shop = x | 1,234 | 0.1 (0.0 to 0.2) |" in text
    assert text.startswith("### Slices\n\nOne.\n\n1. a\n1. b\n\n- **n**: v\n\n| stands | slice | rows | drop |\n")
    assert all("1 more are in the decision's JSON." in shown for shown in (page, text))


def test_plots_stand_in_their_section_and_are_the_only_markup_that_is_handed_over() -> None:
    page = render_page("<i>", [PART], plots={"slices": "<svg></svg>", "other": "<svg id='o'></svg>"})
    assert page.index("One.") < page.index("<svg></svg>") < page.index("<ol>")
    assert "id='o'" not in page
    assert "<h1>&lt;i&gt;</h1>" in page
