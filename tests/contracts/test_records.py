"""Every record becomes JSON and comes back, says what it is, and has a digest that PostgreSQL cannot change."""

import json
import math
import pkgutil
import random
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from importlib import import_module
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import airflow_mlops.core
import airflow_mlops.reports
from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.candidate import Label
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import ReasonCode

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(start=START, end=START + timedelta(days=1))
KNOWN = {
    "AdviceReport",
    "Answer",
    "Approval",
    "AuditEvent",
    "BacktestReport",
    "Candidate",
    "ShadowReport",
    "DriftReport",
    "Evaluation",
    "Future",
    "GateDecision",
    "Golden",
    "Identity",
    "Judged",
    "ModelCard",
    "ModelLosses",
    "PerformanceReport",
    "Pointed",
    "Predictions",
    "Profile",
    "PromotionRecord",
    "Referred",
    "Reproduction",
    "RetrainDecision",
    "Rollback",
    "Scored",
    "ServingReport",
    "Snapshot",
    "Trained",
    "ValidationReport",
    "Watched",
}


def descendants(cls: type[Any]) -> set[type[Any]]:
    return {found for child in cls.__subclasses__() for found in {child, *descendants(child)}}


def discover() -> list[type[Record]]:
    """Return every Record of the package: they live in core and reports, so all of both is imported."""
    for floor in (airflow_mlops.core, airflow_mlops.reports):
        for module in pkgutil.walk_packages(floor.__path__, f"{floor.__name__}."):
            import_module(module.name)
    ours = [cls for cls in descendants(Record) if cls.__module__.startswith("airflow_mlops.")]
    return sorted(ours, key=lambda cls: cls.__name__)


RECORDS = discover()

# -- what records are made of -----------------------------------------------------------------------------------------

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ZONES = st.one_of(st.just(UTC), st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))))
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=ZONES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WINDOWS = st.builds(
    lambda start, length: Window(start=start, end=start + length),
    TIMES,
    st.timedeltas(timedelta(microseconds=1), timedelta(days=4000)),
)
# Class labels and the estimator's parameters are what a person writes down; all other numbers may be NaN or infinite.
LABEL = st.text() | st.integers() | FINITE | st.booleans()
LABELS = st.lists(LABEL, max_size=4).map(tuple)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {datetime: TIMES, Window: WINDOWS, Any: JSON, Label: LABEL}


@cache  # or each example of each test would read the annotations anew
def some(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a record's field by its annotation."""
    of, parts = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return records_of(hint)
    if of is Mapping:
        return st.dictionaries(some(parts[0]), some(parts[1]), max_size=4)
    if of is tuple:
        several = parts[1:] == (...,)
        return st.lists(some(parts[0]), max_size=3).map(tuple) if several else st.tuples(*map(some, parts))
    if of in {Union, UnionType}:
        return st.one_of(*map(some, parts))
    return st.from_type(hint)


def _field(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field: labels are no numbers that JSON does not know."""
    if name == "classes" and "ClassRows" not in str(hint):
        return LABELS
    if name == "positive" and hint is not bool:
        return st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
    return some(hint)


@cache
def records_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = {name: hint for name, hint in get_type_hints(cls).items() if name in {f.name for f in fields(cls)}}
    return st.builds(cls, **{name: _field(name, hint) for name, hint in hints.items()})


def evaluation(**changes: Any) -> Evaluation:
    rule = RuleResult(
        rule="absolute", metric="log_loss", verdict=Verdict.REJECT, value=math.nan, lower=-math.inf, upper=math.inf,
        bound="<= 0.5", rows=7, code=ReasonCode.METRIC_NOT_FINITE, reason="not a number",
    )  # fmt: skip
    values: dict[str, Any] = {
        "model": "m", "run_id": "r", "rows": 7, "window": WINDOW, "primary": "log_loss", "champion_version": None,
        "candidate_metrics": {"log_loss": math.nan, "auc": 0.5}, "champion_metrics": None,
        "baseline_metrics": {"log_loss": math.inf, "rmse": -math.inf}, "rules": (rule,),
    }  # fmt: skip
    return Evaluation(**{**values, **changes})


def through_postgres(value: Any, seed: int = 0) -> Any:
    """What PostgreSQL's jsonb does to JSON: keys in its own order, -0.0 is 0.0, 1e+16 and 5.0 are whole numbers."""
    if isinstance(value, dict):
        names = list(value)
        random.Random(seed).shuffle(names)  # noqa: S311 - an order, no secret
        return {name: through_postgres(value[name], seed + 1) for name in names}
    if isinstance(value, list):
        return [through_postgres(part, seed + 1) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# -- tests ------------------------------------------------------------------------------------------------------------


def test_these_are_the_records_of_the_package() -> None:
    assert {cls.__name__ for cls in RECORDS} == KNOWN
    assert all(cls.FORMAT >= 1 for cls in RECORDS)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_every_record_comes_back_whole(cls: type[Record], data: st.DataObject, seed: int) -> None:
    record = data.draw(records_of(cls))
    body = record.to_json()
    assert list(body)[:2] == ["kind", "format"]
    assert (body["kind"], body["format"]) == (cls.__name__, cls.FORMAT)
    text = json.dumps(body, allow_nan=False)  # plain JSON: what XCom and MLflow take without changing it
    back = cls.from_json(json.loads(text))
    assert type(back) is cls
    # NaN is equal to nothing: two records are compared by what they write.
    assert back.to_json() == body
    assert cls.from_json(record.to_text()).to_text() == record.to_text()
    assert back.digest == record.digest
    assert cls.from_json(through_postgres(json.loads(text), seed)).digest == record.digest
    if "NaN" not in text:
        assert back == record


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_record_is_frozen_and_refuses_what_it_does_not_know(cls: type[Record], data: st.DataObject) -> None:
    record = data.draw(records_of(cls))
    with pytest.raises(FrozenInstanceError):
        record.model = "another"  # type: ignore[attr-defined]
    with pytest.raises(RecordError, match="format"):
        cls.from_json({**record.to_json(), "format": cls.FORMAT + 1})
    with pytest.raises(RecordError, match="surprise"):
        cls.from_json({**record.to_json(), "surprise": 1})
    for other in RECORDS:
        if other is not cls:
            with pytest.raises(RecordError, match=f"kind '{cls.__name__}'"):
                other.from_json(record.to_json())


def test_numbers_that_are_not_finite_are_texts_in_json_and_numbers_again_after() -> None:
    body = evaluation().to_json()
    assert body["candidate_metrics"] == {"log_loss": "NaN", "auc": 0.5}
    assert body["baseline_metrics"] == {"log_loss": "Infinity", "rmse": "-Infinity"}
    back = Evaluation.from_json(body)
    assert math.isnan(back.candidate_metrics["log_loss"])
    assert back.baseline_metrics == {"log_loss": math.inf, "rmse": -math.inf}
    (rule,) = back.rules
    assert rule.value is not None
    assert math.isnan(rule.value)
    assert (rule.lower, rule.upper) == (-math.inf, math.inf)


def test_a_newer_format_is_refused_with_its_code() -> None:
    with pytest.raises(RecordError) as caught:
        Evaluation.from_json({**evaluation().to_json(), "format": 99})
    (problem,) = caught.value.problems
    assert problem.code is ReasonCode.FORMAT_TOO_NEW
    assert "format 99" in str(problem)


def test_an_older_format_is_upgraded() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Named(Record):
        FORMAT = 3
        full_name: str

        @classmethod
        def upgrade(cls, body: dict[str, Any], written: int) -> dict[str, Any]:
            return {"full_name": body["name"]} if written < cls.FORMAT else body

    assert Named.from_json({"kind": "Named", "format": 1, "name": "x"}) == Named(full_name="x")
    assert Named.from_json(Named(full_name="y").to_text()) == Named(full_name="y")


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A part of a record, one field of which came later."""

    name: str
    later: tuple[int, ...] = added(())


@dataclass(frozen=True, kw_only=True)
class Grown(Record):
    """A record that has fields from before, fields with a default from before, and one that came later."""

    leaf: Leaf
    leaves: tuple[Leaf, ...] = ()
    named: Mapping[str, Leaf] = field(default_factory=dict)
    plain: int | None = None
    later: Leaf | None = added(None)


def test_what_was_added_is_written_only_where_it_is_not_the_default() -> None:
    before = {
        "kind": "Grown",
        "format": 1,
        "leaf": {"name": "a"},
        "leaves": [{"name": "b"}],
        "named": {"k": {"name": "c"}},
    }
    found = Grown.from_json(before)
    assert found.to_json() == {**before, "plain": None}
    full = replace(found, leaf=Leaf(name="a", later=(1,)), later=Leaf(name="d"), leaves=(Leaf(name="b", later=(2,)),))
    written = full.to_json()
    assert (written["leaf"]["later"], written["later"], written["leaves"][0]["later"]) == ([1], {"name": "d"}, [2])
    assert Grown.from_json(written) == full
    assert full.digest != found.digest


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Snapshot"},
        {"kind": None},
        {"format": None},
        {"format": "1"},
        {"rows": "many"},
        {"rules": None},
        {"window": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
        {"window": {"start": "2026-01-01T00:00:00", "end": "2026-01-02T00:00:00"}},
    ],
    ids=str,
)
def test_what_is_no_whole_record_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError) as caught:
        Evaluation.from_json({**evaluation().to_json(), **change})
    assert "Evaluation" in str(caught.value)


def test_a_field_that_is_missing_is_named() -> None:
    body = evaluation().to_json()
    del body["primary"]
    with pytest.raises(RecordError, match="primary"):
        Evaluation.from_json(body)


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[1]", '"text"', evaluation().to_text()[:-20]],
    ids=["empty", "open", "null", "list", "text", "cut"],
)
def test_text_that_was_cut_off_or_is_something_else_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="Evaluation"):
        Evaluation.from_json(text)


# -- digest -----------------------------------------------------------------------------------------------------------


def test_the_digest_does_not_depend_on_the_order_of_mappings() -> None:
    one, two = {"auc": 0.7, "log_loss": 0.4}, {"log_loss": 0.4, "auc": 0.7}
    assert evaluation(candidate_metrics=one).to_text() != evaluation(candidate_metrics=two).to_text()
    assert evaluation(candidate_metrics=one).digest == evaluation(candidate_metrics=two).digest


@pytest.mark.parametrize(("one", "two"), [(0.0, -0.0), (5.0, 5), (1e16, 10**16), (-2.0, -2), (1e300, int(1e300))])
def test_the_digest_is_the_same_for_equal_numbers(one: float, two: float) -> None:
    assert one == two
    assert evaluation(baseline_metrics={"x": one}).digest == evaluation(baseline_metrics={"x": two}).digest


@given(one=st.floats(), two=st.floats())
def test_the_digest_differs_exactly_when_the_numbers_do(one: float, two: float) -> None:
    same = one == two or (math.isnan(one) and math.isnan(two))
    digests = [evaluation(baseline_metrics={"x": number}).digest for number in (one, two)]
    assert (digests[0] == digests[1]) is same


def test_the_digest_tells_apart_what_is_not_the_same() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Loose(Record):
        value: Mapping[str, Any] = field(default_factory=dict)

    different: list[Any] = [0, False, None, "", "0", "NaN", [], {}, [0], 1, True, 0.5, "é", "e\u0301"]
    digests = {Loose(value={"x": value}).digest for value in different}
    assert len(digests) == len(different)
    assert replace(Loose(), value={"y": 0}).digest not in digests


def test_the_digest_of_a_decision_covers_its_evaluation() -> None:
    decision = GateDecision(
        model="m", run_id="r", loop_run="d/r", model_uri="u", as_of=START, verdict=Verdict.REJECT,
        champion_version=None, evaluation=evaluation(), reasons=(), decided_at=START,
    )  # fmt: skip
    other = replace(decision, evaluation=evaluation(rows=8))
    assert decision.digest != other.digest
    assert decision.digest == GateDecision.from_json(through_postgres(decision.to_json())).digest
