"""The gate's page: the answer first, every number or its absence, no empty section, and nothing runs or is fetched."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.gate import advice_of, sections_of
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, JudgedVersion, Verdict
from airflow_mlops.core.records.evidence import RELIANCE, Evidence
from airflow_mlops.core.records.wording import comparison_words, refit_words
from airflow_mlops.reports.decision.page import render as render_page
from airflow_mlops.reports.decision.wording import power
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from tests.support.decisions import candidate, decision, evidence, rule, serving, slice_result

HOSTILE = "<script>alert('x')</script>&\"<img src=http://evil.example onerror=x>"
VOID = {"meta", "br"}
SHAPES = {"line", "circle", "rect", "polyline", "polygon"}
SPEC = ModelSpec.model_validate({
    "name": "orders", "owner": "sales", "data": {"source": {"path": "o/"}, "time": "t", "key": "id", "label": "paid"},
    "training": {"estimator": "sklearn.linear_model.Ridge"},
})  # fmt: skip
SECTIONS = {
    "slices": "Slices", "segments": "Weakest segments", "groups": "Groups", "disparities": "Fairness",
    "reliability": "Calibration", "curves": "Curves", "perturbations": "Robustness", "leaks": "Leakage",
    "serving": "Serving", "changes": "What changed against the champion", "convergence": "Convergence",
}  # fmt: skip


def render(made: GateDecision, of: Candidate) -> str:
    """The page with the advice of the rules, as the operator makes it."""
    return render_page(made, of, advice_of(made), evidence=sections_of(SPEC, of, made))


class Page(HTMLParser):
    """What a browser makes of it: the tags, what would be fetched, and the text; refuses tags that do not pair."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], f"left open: {self._open}"
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.texts.append(data)
        if self._open and self._open[-1] == "h2":
            self.headings.append(data)

    @property
    def places(self) -> list[str]:
        """Every number that an SVG shape is drawn at."""
        names = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points"}
        return [part for name, value in self.attributes if name in names for part in re.split("[ ,]", value)]


@pytest.mark.parametrize(
    ("verdict", "word"),
    [(Verdict.ACCEPT, "Accepted"), (Verdict.REJECT, "Rejected"), (Verdict.INCONCLUSIVE, "Inconclusive")],
)
def test_the_answer_and_its_reasons_come_first(verdict: Verdict, word: str) -> None:
    reasons = ("the champion is better by 0.02", "roc_auc is below 0.6")
    text = Page(render(decision(verdict, rule(verdict=verdict), reasons=reasons), candidate())).text
    wanted = ("orders, as of 2026-03-01 00:00", word, *reasons, "What to do next", "Rules", "Origin")
    places = [text.index(part) for part in wanted]
    assert places == sorted(places)


def test_an_acceptance_says_by_which_comparison_and_a_refit_whose_that_is() -> None:
    evaluation = decision(Verdict.ACCEPT, rule("champion"), rule("serving")).evaluation
    words = comparison_words(evaluation)
    assert words is not None
    plain = decision(Verdict.ACCEPT, rule("champion"), rule("serving"), reasons=(words, "serving: accept"))
    about = JudgedVersion(version=7, run_id="r", decision="d")
    refitted = replace(plain, refit_of=about, reasons=(f"{refit_words(54321, 7)}: {words}", "serving: accept"))
    for one, told in ((plain, words), (refitted, f"refitted on all 54,321 rows, judged as version 7: {words}")):
        text = Page(render(one, candidate())).text
        banner = text[text.index("Accepted") : text.index("What to do next")]
        assert told in banner
        assert "serving: accept" not in banner
    text = Page(render(refitted, candidate())).text
    assert "a refit of v7 on all rows" in text
    assert "Of version 7, which was judged; the refitted model has learned from these rows too." in text


def test_the_banner_tells_the_reasons_that_decided_and_no_others() -> None:
    rules = (
        rule("champion"),
        rule("slices", Verdict.REJECT, metric="shop", reason="north is worse", code=ReasonCode.SLICE_WORSE),
        rule("fairness", Verdict.INCONCLUSIVE, reason="groups may differ"),
        rule("leakage", Verdict.REJECT, reason="only recorded", enforced=False),
    )
    text = Page(render(decision(Verdict.REJECT, *rules), candidate())).text
    banner = text[text.index("Rejected") : text.index("What to do next")]
    assert "north is worse" in banner
    assert not any(other in banner for other in ("champion: accept", "may differ", "only recorded"))


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [(ReasonCode.LABEL_LEAKAGE, True), (ReasonCode.SERVING_DIFFERS, True), (ReasonCode.SLICE_WORSE, False)],
)
def test_it_says_whether_to_override(code: ReasonCode, forbidden: bool) -> None:
    rules = (
        rule("absolute", Verdict.REJECT, code=ReasonCode.METRIC_OUT_OF_BOUNDS),
        rule("x", Verdict.REJECT, code=code),
    )
    text = Page(render(decision(Verdict.REJECT, *rules), candidate())).text
    assert "champion v3 keeps serving" in text
    assert ("Do not override:" in text) is forbidden
    assert ("airflow mlops promote orders VERSION --force" in text) is not forbidden


def test_an_inconclusive_comparison_says_what_the_rows_could_have_shown() -> None:
    unsure = rule(verdict=Verdict.INCONCLUSIVE, value=0.002, rows=27_500, detectable=0.004, rows_needed=91_000)
    text = Page(render(decision(Verdict.INCONCLUSIVE, unsure), candidate())).text
    assert "a gain of 0.0040 would have been shown on these rows" in text
    assert "the observed 0.0020 needs about 91,000 rows, 3.3 times these" in text
    assert text.index("a gain of") < text.index("What to do next")
    assert "no number of rows would show" in power(replace(unsure, rows_needed=None))
    assert power(rule(detectable=0.004)) == ""


def test_a_dry_run_says_loudly_what_it_would_have_decided() -> None:
    rules = (rule(), rule("slices", Verdict.REJECT, metric="shop", reason="north is worse", enforced=False))
    made = decision(Verdict.ACCEPT, *rules, mode="dry_run", would=Verdict.REJECT)
    text = Page(render(made, candidate())).text
    places = [text.index(p) for p in ("Dry run", "Had they counted: rejected", "Accepted, because", "north is worse")]
    assert places == sorted(places)
    assert "recorded only: it did not count" in text
    assert "Nothing to do" not in text
    same = Page(render(decision(Verdict.ACCEPT, rule(), mode="dry_run", would=Verdict.ACCEPT), candidate())).text
    assert "the same as if they had counted" in same
    assert "The gate is off" in Page(render(decision(Verdict.ACCEPT, rule("finite"), mode="off"), candidate())).text
    assert "Dry run" not in Page(render(decision(Verdict.ACCEPT, rule()), candidate())).text


def test_every_rule_stands_there_the_failed_ones_first() -> None:
    rules = [
        rule("first_model", Verdict.ACCEPT),
        rule("champion", Verdict.INCONCLUSIVE),
        rule("serving", Verdict.REJECT, enforced=False),
        rule("absolute", Verdict.REJECT, code=ReasonCode.METRIC_OUT_OF_BOUNDS, bound=">= 0.62"),
    ]
    text = Page(render(decision(Verdict.REJECT, *rules), candidate())).text
    text = text[text.index("Rules") :]
    for part in ("first model", "0.0312", ">= 0.62", "12,345", "pass", "fail", "open", "metric_out_of_bounds"):
        assert part in text
    order = [text.index(f"{r}:") for r in ("absolute", "champion", "serving", "first_model")]
    assert order == sorted(order)


def test_metrics_of_all_three_stand_beside_each_other_the_primary_first_and_the_better_marked() -> None:
    text = Page(render(decision(Verdict.ACCEPT, rule()), candidate())).text
    metrics = text[text.index("Metrics on the same rows") :]
    assert "champion (v3)" in metrics
    wanted = ("(primary)", "\u2713 0.4123", "0.4435", "0.6000", "lower is better", "roc_auc", "\u2713 0.7000", "none")
    order = [metrics.index(part) for part in wanted]
    assert order == sorted(order)
    worse = decision(Verdict.REJECT, rule(), candidate_metrics={"log_loss": 0.5, "r2": 0.1, "own:f": 1.0},
                     champion_metrics={"log_loss": 0.4, "r2": 0.1, "own:f": 2.0})  # fmt: skip
    text = Page(render(worse, candidate())).text
    assert "\u2713 0.4000" in text
    assert text.count("\u2713") == 2, "equal metrics and those of unknown direction have no better one"


def test_the_origin_names_rows_snapshot_run_and_model() -> None:
    made = decision(Verdict.ACCEPT, rule())
    text = Page(render(made, candidate())).text
    for part in ("54,321 rows", "f" * 64, "models:/m-1", "abc123", "orders.train/run-1", "2026-03-01 00:00:00 UTC"):
        assert part in text
    assert made.digest in text


def test_every_kind_of_evidence_is_shown() -> None:
    rules = (rule(), rule("slices", Verdict.REJECT, metric="shop", bound="drop <= 0.02 in every slice"))
    page = Page(render(decision(Verdict.REJECT, *rules, evidence=evidence()), candidate()))
    assert set(SECTIONS.values()) <= set(page.headings)
    wanted = (
        "shop = north", "0.0500", "(0.0400 to 0.0600)", "< 0.001", "worse", "too few rows", "amount > 1,200", "6.9 %",
        "region = west", "0.3470", "above the bound", "0.0145 (0.0045 to 0.0245)", "10 %", "made missing",
        "knows it", "none: identical", "6.2 ms (p50), 11.5 ms (p99)", "1.25 MB", "did not converge",
        "training.parameters.max_iter", "not a number",
    )  # fmt: skip
    assert [part for part in wanted if part not in page.text] == []
    assert page.tags.count("svg") == 9, "gain, slices, fairness, reliability, three curves, two of robustness"
    assert page.attributes.count(("role", "img")) == 9
    assert sum(name == "aria-label" and bool(value) for name, value in page.attributes) == 9


@pytest.mark.parametrize("field", sorted(SECTIONS))
def test_a_section_is_there_only_with_its_evidence(field: str) -> None:
    made = evidence()
    alone = Page(
        render(
            decision(Verdict.ACCEPT, rule(), evidence=replace(Evidence(), **{field: getattr(made, field)})), candidate()
        )
    )
    assert set(alone.headings) & set(SECTIONS.values()) == {SECTIONS[field]}
    without = Page(
        render(
            decision(Verdict.ACCEPT, rule(), evidence=replace(made, **{field: getattr(Evidence(), field)})), candidate()
        )
    )
    assert set(without.headings) & set(SECTIONS.values()) == set(SECTIONS.values()) - {SECTIONS[field]}


def test_a_slice_is_marked_only_where_its_column_failed() -> None:
    found = Evidence(slices=(slice_result("a", 0.05, drop_p=0.01), slice_result("b", 0.05, column="town", drop_p=0.01)))
    bound = "drop <= 0.02 in every slice"
    rules = (rule("slices", Verdict.REJECT, metric="shop", bound=bound), rule("slices", metric="town", bound=bound))
    text = Page(render(decision(Verdict.REJECT, *rules, evidence=found), candidate())).text
    assert "2 slices, 2 with enough rows to be judged, 1 surely worse." in text


def test_each_kind_of_broken_input_is_held_against_its_own_bound() -> None:
    rules = (
        rule("robustness", metric="drop_under_broken_input", bound="<= 0.2"),
        rule("robustness", Verdict.REJECT, metric=RELIANCE, bound="<= 0.05"),
    )
    html = render(
        decision(Verdict.REJECT, *rules, evidence=Evidence(perturbations=evidence().perturbations)), candidate()
    )
    assert html.count("<title>bound 0.2</title>") == 2, "missing values and noise"
    assert html.count("<title>bound 0.05</title>") == 1, "the shuffled column"


def test_a_model_that_could_not_be_served_shows_no_numbers() -> None:
    found = Evidence(serving=serving(failure="no module named sklearn", load_seconds=math.nan))
    text = Page(render(decision(Verdict.REJECT, rule(), evidence=found), candidate())).text
    assert "no module named sklearn" in text
    assert "(p99)" not in text


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1.7e308, 5e-324], ids=str)
def test_a_number_that_is_missing_or_not_finite_is_shown_as_what_it_is(verdict: Verdict, value: float | None) -> None:
    metrics = {} if value is None else {"log_loss": value}
    rules = [
        rule("finite", verdict, value=value, lower=None, upper=None),
        rule("champion", verdict, value=value, lower=value, upper=value, detectable=value, rows_needed=9),
    ]
    made = decision(
        verdict, *rules, candidate_metrics=metrics, champion_metrics=None, baseline_metrics=metrics,
        champion_version=None, evidence=evidence(number=value),
    )  # fmt: skip
    page = Page(render(made, candidate()))
    assert "champion (none yet)" in page.text
    assert not {"nan", "inf", "-inf"} & set(re.split(r"[\s(),]+", page.text))
    if value is not None and not math.isfinite(value):
        said = "not a number" if math.isnan(value) else "infinite" if value > 0 else "minus infinite"
        assert said in page.text
        assert "No rule was decided on an interval" in page.text
    assert page.places
    assert all(math.isfinite(float(number)) for number in page.places)


def test_an_interval_lies_on_its_side_of_zero() -> None:
    page = Page(render(decision(Verdict.ACCEPT, rule(lower=0.01, upper=0.05, value=0.03)), candidate()))
    *_, low, high, middle, bound, _ = [float(value) for name, value in page.attributes if name in {"x1", "x2", "cx"}]
    assert bound < low < middle < high


def test_a_narrow_interval_beside_a_wide_one_has_an_axis_of_its_own() -> None:
    near, far = rule(value=0.001, lower=-0.001, upper=0.003), rule("baseline", value=0.1, lower=0.09, upper=0.11)
    assert Page(render(decision(Verdict.INCONCLUSIVE, near, far), candidate())).tags.count("svg") == 2
    assert Page(render(decision(Verdict.ACCEPT, rule(), rule("baseline")), candidate())).tags.count("svg") == 1


def hostile(word: str) -> str:
    made = decision(
        Verdict.REJECT,
        rule(word, Verdict.REJECT, metric=word, bound=word, reason=word),
        rule("champion", Verdict.REJECT, metric=word, reason=word),
        model=word, primary=word, candidate_metrics={word: 1.0}, champion_metrics={word: 2.0}, reasons=(word,),
        evidence=evidence(word),
    )  # fmt: skip
    names: dict[str, Any] = dict.fromkeys(("model", "loop_run", "run_id", "model_uri", "snapshot_fingerprint"), word)
    return render(made, candidate(**names))


def test_every_text_is_escaped() -> None:
    html = hostile(HOSTILE)
    page = Page(html)
    assert HOSTILE not in html
    assert not {"script", "img"} & set(page.tags)
    assert sum(HOSTILE in text for text in page.texts) >= 30


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30),
    st.sampled_from(["<b ", "'>", '"', "&lt", "]]>", "<!--"]),
)
def test_no_text_can_change_the_page(word: str, attack: str) -> None:
    plain, attacked = Page(hostile("plain")), Page(hostile(f"{attack}{word}{attack}"))
    assert [tag for tag in attacked.tags if tag not in SHAPES and tag not in {"text", "title"}] == [
        tag for tag in plain.tags if tag not in SHAPES and tag not in {"text", "title"}
    ]
    assert {name for name, _ in attacked.attributes} <= {name for name, _ in plain.attributes}


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = render(decision(Verdict.ACCEPT, rule(), evidence=evidence()), candidate())
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "img", "base", "form", "use", "image"} & set(page.tags)
    assert not [n for n, _ in page.attributes if n in {"src", "href", "srcset", "data", "action", "xlink:href"}]
    assert not [n for n, _ in page.attributes if n.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html
    assert "://" not in html.replace("file:///s", "")


def test_a_page_of_everything_two_hundred_times_stays_small() -> None:
    long = "x" * 5000
    many = evidence()
    slices = tuple(
        slice_result(f"{long}{at}", at / 1000, gap=slice_result("", 0.1).drop, gap_p=0.5) for at in range(200)
    )
    made = replace(
        many, slices=slices, segments=many.segments * 200, groups=many.groups * 200, leaks=many.leaks * 200,
        perturbations=many.perturbations * 200, changes=many.changes * 200, disparities=many.disparities * 200,
        curves=tuple(replace(curve, of=f"class {at}") for at in range(50) for curve in many.curves),
        reliability=tuple(replace(found, event=f"class {at}") for at in range(50) for found in many.reliability),
    )  # fmt: skip
    typical = replace(many, slices=tuple(slice_result(f"shop {at}", at / 1000) for at in range(200)))
    assert len(render(decision(Verdict.REJECT, rule(), evidence=typical), candidate()).encode()) < 100_000
    html = render(
        decision(Verdict.REJECT, *[rule(reason=f"{long}{at}") for at in range(300)], evidence=made), candidate()
    )
    assert len(html.encode()) < 200_000, "every text and every table is bounded, whatever the names"
    text = Page(html).text
    assert "160 more are in the decision's JSON" in text
    assert "260 more are in the decision's JSON" in text
