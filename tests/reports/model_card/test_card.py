"""The model card: everything that is known, everything that is missing, the same in Markdown and HTML."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from airflow_mlops.core.gate import sections_of
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.evidence import Evidence
from airflow_mlops.core.records.promotion import Approval, AuditEvent, PromotionRecord
from airflow_mlops.reports.model_card.card import LONGEST_SUMMARY, ModelCard, card
from airflow_mlops.reports.sections import plain
from airflow_mlops.spec import ModelSpec
from tests.support.decisions import AS_OF, candidate, decision, evidence, rule, snapshot

HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![i](http://evil.example/i.png) | `c` **b** _i_\n# h"
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
DATA = {"source": {"path": "orders/"}, "time": "t", "key": "id", "label": "paid", "label_delay": "1d"}
BARE = {"name": "orders", "owner": "sales", "data": DATA, "training": {"estimator": "sklearn.linear_model.Ridge"}}
FULL = BARE | {
    "description": "Tells which orders are not paid in time.",
    "limitations": ["Not for private customers."],
    "risk_tier": "high",
    "gate": {"slices": {"columns": ["shop"]}, "fairness": {"columns": ["region"]}},
    "promotion": {"approval": {"tiers": ["high"]}},
}


class Shown(HTMLParser):
    """What a browser makes of it: tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._hidden = False
        self.feed(html)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag == "style"
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.texts.append(data)
        self._hidden = False


def event(number: int, kind: Any, version: int, displaced: int | None, **changes: Any) -> AuditEvent:
    values: dict[str, Any] = {"before": "b", "model": "orders", "at": AS_OF + timedelta(hours=number), "nonce": "n"}
    values |= {"by": "airflow:orders.train/run-1", "reason": f"event {number}"}
    return AuditEvent(number=number, kind=kind, version=version, displaced=displaced, **{**values, **changes})


def made(**changes: Any) -> ModelCard:
    rules = (
        rule(), rule("slices", Verdict.REJECT, metric="shop", bound="drop <= 0.02 in every slice", enforced=False),
        rule("fairness", Verdict.INCONCLUSIVE, metric="equalized_odds_difference", enforced=False),
    )  # fmt: skip
    judged = decision(Verdict.ACCEPT, *rules, evidence=evidence())
    values: dict[str, Any] = {
        "spec": ModelSpec.model_validate(FULL), "candidate": candidate(), "snapshot": snapshot(), "decision": judged,
        "promotion": promotion(),
        "approval": Approval(model="orders", run_id="abc123", decision=judged.digest, approved=True, by="mira",
                             at=AS_OF + timedelta(hours=9), note="seen the north"),
        "history": (event(1, "promoted", 3, None), event(2, "promoting", 4, 3), event(3, "promoted", 4, 3)),
        "packages": {"scikit-learn": "1.7.2"}, "links": {"MLflow run": "https://mlflow.example/#/runs/abc"},
        "commit": "c0ffee",
    }  # fmt: skip
    return written(**{**values, **changes})


def written(**values: Any) -> ModelCard:
    """The card with what the rules saw, as the operator writes it."""
    judged = values["decision"]
    seen = () if judged is None else sections_of(values["spec"], values["candidate"], judged)
    return card(**values, evidence=seen)


def promotion(**changes: Any) -> PromotionRecord:
    values: dict[str, Any] = {
        "model": "orders", "version": 4, "run_id": "abc123", "promoted": True, "champion_version": 4,
        "previous_version": 3, "as_of": AS_OF, "verdict": Verdict.ACCEPT, "reasons": (),
    }  # fmt: skip
    return PromotionRecord(**{**values, **changes})


def bare(**changes: Any) -> ModelCard:
    values: dict[str, Any] = {
        "spec": ModelSpec.model_validate(BARE), "candidate": candidate(), "snapshot": snapshot(known_issues=()),
        "decision": None, "promotion": None, "approval": None,
    }  # fmt: skip
    return written(**{**values, **changes})


KNOWN = (
    "orders v4", "Tells which orders are not paid in time.", "sales; risk tier high", "champion since",
    "log_loss 0.4123 (champion v3 0.4435, trivial baseline 0.6000)", "Not for private customers.",
    "Weak where amount > 1,200", "Worse than allowed in shop = north", "shop = tiny (7 rows)", "region = few (59 rows)",
    "off by 0.0145 (0.0045 to 0.0245)", "Not shown (fairness)", "Failed (slices, recorded only)",
    "812 rows without a label: they are left out", "known 1d after the event", "file:///s", "f" * 64, "amount",
    "max_iter", "roc_auc", "shop = south", "demographic parity difference", "expected calibration error",
    "shuffled column", "knows it", "did not converge", "6.2 ms (p50), 11.5 ms (p99)", "pass", "fail, recorded only",
    "mira", "seen the north", "training.parameters.max_iter", "abc123", "orders.train/run-1", "c0ffee", "1.7.2",
    "event 2", "event 3",
)  # fmt: skip


@pytest.mark.parametrize("form", ["to_html", "to_markdown"])
def test_everything_that_is_known_is_in_the_card(form: str) -> None:
    text = getattr(made(), form)()
    shown = Shown(text if form == "to_html" else MARKDOWN.render(text)).text
    assert [part for part in KNOWN if part not in shown] == []
    assert "event 1 " not in f"{shown} ", "of another version"


@pytest.mark.parametrize("form", ["to_html", "to_markdown"])
def test_what_is_missing_is_said(form: str) -> None:
    text = getattr(bare(), form)()
    shown = Shown(text if form == "to_html" else MARKDOWN.render(text)).text
    for part in (
        "orders (not registered)", "candidate, not judged yet", "not described", "states no limitation",
        "has not judged", "No quality issue was known", "No metric was recorded", "No approval was asked for",
        "it was not recorded", "missing: not judged",
        "missing: not promoted", "packages of the run were not recorded", "no event of this version",
    ):  # fmt: skip
        assert part in shown


def test_every_rule_that_was_not_evaluated_says_why() -> None:
    nothing = decision(Verdict.ACCEPT, rule(), champion_version=None, champion_metrics=None)
    text = bare(decision=nothing).to_markdown()
    for part in (
        "No slices rule was asked for: gate.slices.columns names no column.",
        "No fairness rule was asked for: gate.fairness.columns names no protected attribute.",
        "The calibration rule was asked for, and there is no evidence of it in the decision.",
        "The robustness rule was asked for", "The leakage rule was asked for", "The serving rule was asked for",
        "The estimator said nothing of its own training.", "It was not compared with a champion",
        "There was no champion",
    ):  # fmt: skip
        assert part in text
    off = ModelSpec.model_validate(BARE | {"gate": {"serving": {"mode": "off"}}})
    assert "The serving rule is switched off." in bare(decision=nothing, spec=off).to_markdown()
    plainly = bare(decision=nothing, candidate=candidate(task="regression", classes=())).to_markdown()
    assert "A regression gives no probabilities." in plainly
    asked = ModelSpec.model_validate(BARE | {"risk_tier": "high", "promotion": FULL["promotion"]})
    assert "no answer is recorded" in bare(decision=nothing, spec=asked).to_markdown()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"history": ()}, "champion"),
        (
            {"history": (event(3, "promoted", 4, 3), event(4, "promoted", 5, 4))},
            "was champion, until v5 took its place",
        ),
        (
            {"history": (event(3, "promoted", 4, 3), event(4, "promoted", 5, 4), event(5, "rolled_back", 4, 5))},
            "champion since",
        ),
        ({"history": (), "promotion": promotion(promoted=False, declined=True)}, "declined by a person"),
        ({"history": (), "promotion": promotion(promoted=False)}, "accepted, not promoted"),
        ({"history": (), "promotion": None}, "accepted, promotion has not followed yet"),
        ({"spec": ModelSpec.model_validate(BARE | {"retired": "replaced"})}, "the model is retired: replaced"),
    ],
)
def test_the_status_is_that_of_the_last_event(changes: dict[str, Any], word: str) -> None:
    assert word in made(**changes).status


def test_an_approval_that_nobody_gave_is_told_so() -> None:
    late = Approval(model="orders", run_id="abc123", decision="d", approved=False, by="", at=AS_OF, timed_out=True)
    shown = Shown(made(approval=late).to_html()).text
    assert "timed out: nobody answered" in shown
    assert "none given" in shown


@pytest.mark.parametrize("found", [made(), bare()], ids=["full", "bare"])
def test_a_card_is_a_record(found: ModelCard) -> None:
    assert ModelCard.from_json(found.to_json()) == found
    assert ModelCard.from_json(found.to_text()).to_html() == found.to_html()
    assert found.to_json()["format"] == 1


def test_the_same_records_give_the_same_card() -> None:
    assert made().digest == made().digest
    assert made().digest != made(commit="other").digest


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60))
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    for form in ("{}", "- {}", "- **name**: {}", "| head |\n| --- |\n| {} |"):
        shown = Shown(MARKDOWN.render(form.format(plain(text) or "nothing")))
        assert not {"a", "img", "script", "code", "em", "h1", "h2", "hr", "blockquote", "ol"} & set(shown.tags)
        assert shown.text.endswith(" ".join(text.split()) or "nothing")


@pytest.mark.parametrize(
    "text", [HOSTILE, "1. one", "- x", "+ x", "# x", "---", "===", "a_b_c", "_x_", "\\|", "&lt;", "-", "--"]
)
def test_markdown_shows_hostile_text_as_it_is(text: str) -> None:
    for form in ("{}", "- {}", "| head |\n| --- |\n| {} |"):
        shown = Shown(MARKDOWN.render(form.format(plain(text))))
        assert shown.text.endswith(" ".join(text.split()))
        assert not {"a", "img", "script", "code", "em", "h1", "h2", "hr", "blockquote", "ol"} & set(shown.tags)
        assert shown.tags.count("ul") == form.startswith("-")


def test_every_text_is_escaped() -> None:
    spec = ModelSpec.model_validate(FULL | {"owner": HOSTILE, "description": HOSTILE, "limitations": [HOSTILE]})
    judged = decision(
        Verdict.REJECT, rule(reason=HOSTILE, metric=HOSTILE, bound=HOSTILE), evidence=evidence(HOSTILE),
        candidate_metrics={HOSTILE: 1.0}, primary=HOSTILE,
    )  # fmt: skip
    found = made(
        spec=spec, decision=judged, packages={HOSTILE: HOSTILE}, commit=HOSTILE, candidate=candidate(run_id=HOSTILE),
        history=(event(1, "promoted", 4, None, reason=HOSTILE, by=HOSTILE),), snapshot=snapshot(source=HOSTILE),
        links={"MLflow run": "https://mlflow.example/", HOSTILE: HOSTILE, "js": "javascript:alert(1)", "s3": "s3://b/k"},
    )  # fmt: skip
    for html in (found.to_html(), MARKDOWN.render(found.to_markdown()), MARKDOWN.render(found.summary())):
        shown = Shown(html)
        assert not {"script", "img", "code", "em", "iframe"} & set(shown.tags)
        assert {value for name, value in shown.attributes if name in {"href", "src"}} <= {"https://mlflow.example/"}
    assert Shown(found.to_html()).tags.count("a") == 1


def test_an_address_cannot_leave_its_link() -> None:
    for address in (
        'https://h.example/a") onclick=x [b](javascript:c',
        "https://h.example/<b>",
        "https://h.example/a b)c",
    ):
        found = bare(links={"there": address})
        for html in (found.to_html(), MARKDOWN.render(found.to_markdown())):
            shown = Shown(html)
            assert shown.tags.count("a") == 1
            assert dict(shown.attributes)["href"].startswith("https://h.example/")
            assert not {"b", "onclick"} & {*shown.tags, *(name for name, _ in shown.attributes)}
    assert "a" not in Shown(bare(links={"there": "http://[broken"}).to_html()).tags


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=2000), max_size=40), st.text(min_size=1, max_size=3000))
def test_the_summary_is_short_and_begins_with_model_and_status(limits: list[str], purpose: str) -> None:
    found = replace(
        made(), limitations=tuple(limits), purpose=purpose, links={"x" * 900: "https://h.example/" + "y" * 900}
    )
    assert len(found.summary()) <= LONGEST_SUMMARY
    assert found.summary().startswith("**orders v4: champion since")


def test_the_summary_tells_decision_metric_and_limitation() -> None:
    shown = Shown(MARKDOWN.render(made().summary())).text
    for part in ("Accepted", "log_loss 0.4123", "Not for private customers.", "MLflow run", "sales"):
        assert part in shown


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_numbers_that_are_not_finite_are_words(value: float) -> None:
    judged = decision(
        Verdict.REJECT, rule(value=value), candidate_metrics={"log_loss": value}, evidence=evidence(number=value)
    )
    for text in (made(decision=judged).to_markdown(), made(decision=judged).summary()):
        assert not {"nan", "inf", "-inf"} & set(text.replace("(", " ").replace(")", " ").split())


def test_a_card_of_everything_two_hundred_times_stays_small() -> None:
    many = evidence()
    large = Evidence(
        slices=many.slices * 200, segments=many.segments * 200, groups=many.groups * 200, leaks=many.leaks * 200
    )
    found = made(decision=decision(Verdict.ACCEPT, *[rule(reason="x" * 3000)] * 300, evidence=large))
    assert len(found.to_html().encode()) < 200_000
    assert len(found.to_markdown()) < 100_000, "MLflow and GitHub cut longer texts"
    assert "540 more are in the decision's JSON" in found.to_markdown()
