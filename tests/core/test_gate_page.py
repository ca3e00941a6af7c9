"""The gate's page: the answer and its reasons first, every number or its absence, nothing runs or is fetched."""

import math
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from airflow_mlops.core.data import Window
from airflow_mlops.core.gate_page import render
from airflow_mlops.core.model import Candidate, Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.spec.problems import ReasonCode

HOSTILE = "<script>alert('x')</script>&\"<img src=http://evil.example onerror=x>"
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
HOLDOUT = Window(start=AS_OF - timedelta(days=14), end=AS_OF)
TRAIN = Window(start=AS_OF - timedelta(days=60), end=AS_OF - timedelta(days=14))


def rule(name: str = "champion", verdict: Verdict = Verdict.ACCEPT, **changes: Any) -> RuleResult:
    values: dict[str, Any] = {
        "metric": "log_loss", "value": 0.0312, "lower": 0.011, "upper": 0.052, "bound": "lower bound > 0",
        "rows": 12345, "code": None, "reason": f"{name}: {verdict}",
    }  # fmt: skip
    return RuleResult(rule=name, verdict=verdict, **{**values, **changes})


def candidate(**changes: Any) -> Candidate:
    values: dict[str, Any] = {
        "model": "orders", "loop_run": "orders.train/run-1", "run_id": "abc123", "model_uri": "models:/m-1",
        "task": "binary", "as_of": AS_OF, "train": TRAIN, "holdout": HOLDOUT, "train_rows": 54321,
        "holdout_rows": 12345, "snapshot_uri": "file:///s", "snapshot_fingerprint": "f" * 64,
        "spec_fingerprint": "s", "features": (), "seed": 42,
    }  # fmt: skip
    return Candidate(**{**values, **changes})


def decision(verdict: Verdict, *rules: RuleResult, **changes: Any) -> GateDecision:
    values: dict[str, Any] = {
        "model": "orders", "run_id": "abc123", "rows": 12345, "window": HOLDOUT, "primary": "log_loss",
        "champion_version": 3, "candidate_metrics": {"log_loss": 0.4123, "roc_auc": 0.7},
        "champion_metrics": {"log_loss": 0.4435, "roc_auc": 0.69}, "baseline_metrics": {"log_loss": 0.6},
        "rules": rules,
    }  # fmt: skip
    evaluation = Evaluation(**{**values, **{k: v for k, v in changes.items() if k in values}})
    return GateDecision(
        model=evaluation.model, run_id="abc123", loop_run="orders.train/run-1", model_uri="models:/m-1", as_of=AS_OF,
        verdict=verdict, champion_version=evaluation.champion_version, evaluation=evaluation,
        reasons=changes.get("reasons", tuple(r.reason for r in rules)), decided_at=AS_OF,
    )  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of it: the tags, what would be fetched, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize(
    ("verdict", "word"),
    [(Verdict.ACCEPT, "Accepted"), (Verdict.REJECT, "Rejected"), (Verdict.INCONCLUSIVE, "Inconclusive")],
)
def test_the_answer_and_its_reasons_come_first(verdict: Verdict, word: str) -> None:
    reasons = ("the champion is better by 0.02", "roc_auc is below 0.6")
    html = render(decision(verdict, rule(verdict=verdict), reasons=reasons), candidate())
    text = Page(html).text
    places = [text.index(part) for part in ("orders, as of 2026-03-01 00:00", word, *reasons, "Rules", "Origin")]
    assert places == sorted(places)


def test_every_rule_stands_there_with_value_bound_rows_and_reason() -> None:
    rules = [
        rule("first_model", Verdict.ACCEPT),
        rule("absolute", Verdict.REJECT, code=ReasonCode.METRIC_OUT_OF_BOUNDS, bound=">= 0.62"),
        rule("champion", Verdict.INCONCLUSIVE),
    ]
    text = Page(render(decision(Verdict.REJECT, *rules), candidate())).text
    for part in ("first model", "0.0312", ">= 0.62", "12,345", "pass", "fail", "open", "absolute: reject"):
        assert part in text


def test_metrics_of_all_three_stand_beside_each_other_the_primary_first() -> None:
    text = Page(render(decision(Verdict.ACCEPT, rule()), candidate())).text
    metrics = text[text.index("Metrics on the same rows") :]
    assert "champion (v3)" in metrics
    order = [metrics.index(part) for part in ("(primary)", "0.4123", "0.4435", "0.6000", "roc_auc", "0.7000", "none")]
    assert order == sorted(order)


def test_the_origin_names_rows_snapshot_run_and_model() -> None:
    text = Page(render(decision(Verdict.ACCEPT, rule()), candidate())).text
    for part in ("54,321 rows", "f" * 64, "models:/m-1", "abc123", "orders.train/run-1", "2026-03-01 00:00:00 UTC"):
        assert part in text


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, 5e-324], ids=str)
def test_a_number_that_is_missing_or_not_finite_is_shown_as_what_it_is(verdict: Verdict, value: float | None) -> None:
    metrics = {} if value is None else {"log_loss": value}
    rules = [
        rule("finite", verdict, value=value, lower=None, upper=None),
        rule("champion", verdict, value=value, lower=value, upper=value),
    ]
    html = render(
        decision(
            verdict,
            *rules,
            candidate_metrics=metrics,
            champion_metrics=None,
            baseline_metrics=metrics,
            champion_version=None,
        ),
        candidate(),
    )
    page = Page(html)
    assert "champion (none yet)" in page.text
    if value is None or math.isfinite(value):
        assert not any(word in text.split() for text in page.texts for word in ("nan", "inf", "-inf"))
    else:
        assert str(value) in page.text
        assert "No rule was decided on an interval" in page.text
    drawn = [text for name, text in page.attributes if name in {"x", "x1", "x2", "cx", "y1", "y2", "cy"}]
    assert all(math.isfinite(float(number)) for number in drawn)
    assert bool(drawn) is (value is not None and math.isfinite(value))


def test_an_interval_lies_on_its_side_of_zero() -> None:
    page = Page(render(decision(Verdict.ACCEPT, rule(lower=0.01, upper=0.05, value=0.03)), candidate()))
    places = [float(value) for name, value in page.attributes if name in {"x1", "x2", "cx"}]
    low, high, middle, *zero = places
    assert zero[0] == zero[1] < low < middle < high


def test_every_text_is_escaped() -> None:
    hostile = decision(
        Verdict.REJECT,
        rule(HOSTILE, Verdict.REJECT, metric=HOSTILE, bound=HOSTILE, reason=HOSTILE),
        model=HOSTILE,
        primary=HOSTILE,
        candidate_metrics={HOSTILE: 1.0},
        champion_metrics={HOSTILE: 2.0},
        reasons=(HOSTILE,),
    )
    html = render(
        hostile,
        candidate(model=HOSTILE, loop_run=HOSTILE, run_id=HOSTILE, model_uri=HOSTILE, snapshot_fingerprint=HOSTILE),
    )
    page = Page(html)
    assert HOSTILE not in html
    assert not {"script", "img"} & set(page.tags)
    # Once in the title and the heading, the reason, the rule's four texts, its label, the metric, and the origin.
    assert sum(HOSTILE in text for text in page.texts) >= 10


def test_nothing_is_fetched() -> None:
    page = Page(render(decision(Verdict.ACCEPT, rule()), candidate()))
    assert not {"script", "link", "iframe", "object", "embed", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in {"src", "href", "srcset", "data", "action"}]
    assert "url(" not in render(decision(Verdict.ACCEPT, rule()), candidate())
