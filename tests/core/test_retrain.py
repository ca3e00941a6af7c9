"""The decision to retrain: only drift, only within limits, with every reason against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pandas as pd
import pytest

from airflow_mlops.core.data import Window
from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.model import Candidate, Champion, Feature
from airflow_mlops.core.monitor import DriftReport, RetrainDecision
from airflow_mlops.core.retrain import count_new_rows, decide_retraining
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.stores.files import FileStore

TRAINED = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def spec(label_delay="0d", **retraining) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "m",
            "owner": "team",
            "data": {"source": {"path": "rows/"}, "time": "t", "key": "id", "label": "y", "label_delay": label_delay},
            "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
            "retraining": retraining,
        }
    )


CHAMPION = Champion(
    model="m",
    version=4,
    run_id="r4",
    model_uri="models:/m-4",
    candidate=Candidate(
        model="m",
        loop_run="m.train/manual",
        run_id="r4",
        model_uri="models:/m-4",
        task="binary",
        as_of=TRAINED,
        train=Window(start=TRAINED - 60 * DAY, end=TRAINED - 14 * DAY),
        holdout=Window(start=TRAINED - 14 * DAY, end=TRAINED),
        train_rows=1000,
        holdout_rows=100,
        snapshot_uri="s",
        snapshot_fingerprint="f",
        spec_fingerprint="g",
        features=(Feature(name="x", role="numeric"),),
        seed=1,
    ),
)


def report(verdict="drift", version=4) -> DriftReport:
    return DriftReport(
        model="m",
        champion_version=version,
        window=Window(start=TRAINED + 20 * DAY, end=TRAINED + 27 * DAY),
        reference=CHAMPION.candidate.train,
        rows=1000,
        verdict=verdict,
        columns=(),
        reasons=("1 of 1 feature columns (100%) are in drift; 30% make drift.",),
        as_of=TRAINED + 27 * DAY,
    )


LATER = TRAINED + 27 * DAY


def test_drift_within_the_limits_retrains_with_evidence():
    decision = decide_retraining(spec(min_new_rows=50), report(), CHAMPION, 50, LATER)
    assert decision.action == "retrain"
    assert decision.reasons == report().reasons
    assert decision.evidence["report_digest"] == report().digest
    assert decision.evidence["champion_version"] == "4"
    assert decision.evidence["window_start"] == "2013-03-21T00:00:00+00:00"
    assert RetrainDecision.from_json(decision.to_text()) == decision


def test_all_reasons_against_it_are_given_and_any_one_waits():
    """Every combination of the conditions: retrain exactly when none speaks against it."""
    for drift, wanted, current, cool, rows in product((True, False), repeat=5):
        decision = decide_retraining(
            spec(on_drift=wanted, cooldown="14d", min_new_rows=100),
            report("drift" if drift else "ok", 4 if current else 3),
            CHAMPION,
            100 if rows else 99,
            TRAINED + (14 * DAY if cool else 14 * DAY - timedelta(microseconds=1)),
        )
        against = (drift, wanted, current, cool, rows).count(False)
        assert decision.action == ("wait" if against else "retrain")
        if against:
            assert len(decision.reasons) == against


@pytest.mark.parametrize("verdict", ["ok", "unknown", "invalid"])
def test_nothing_but_drift_retrains(verdict):
    decision = decide_retraining(spec(), report(verdict), CHAMPION, 10**6, LATER + 1000 * DAY)
    assert decision.action == "wait"
    assert verdict in decision.reasons[0]


def test_records_of_another_model_are_refused():
    with pytest.raises(RecordError):
        decide_retraining(spec(), replace(report(), model="n"), CHAMPION, 0, LATER)
    with pytest.raises(RecordError):
        decide_retraining(spec(), report(), replace(CHAMPION, model="n"), 0, LATER)


@pytest.mark.parametrize("label", [1.0, "late", True])
def test_new_rows_are_labelled_mature_now_and_not_known_to_the_champion(tmp_path, label):
    """With a delay of one day, rows of one a day: the champion knew events up to as-of less one day, inclusive."""
    times = [TRAINED + day * DAY for day in range(-5, 10)]
    labels = [None if time == TRAINED + 2 * DAY else label for time in times]
    pd.DataFrame({"t": times, "y": pd.Series(labels, dtype=object)}).to_parquet(tmp_path / "a.parquet")
    model = spec("1d")
    store = FileStore(str(tmp_path))

    def count(days: int) -> int:
        return count_new_rows(model, CHAMPION, store, TRAINED + days * DAY)

    assert [count(days) for days in (-3, 0, 1, 2, 3, 4, 10, 100)] == [0, 0, 1, 2, 2, 3, 9, 9]


def test_a_source_without_the_label_is_refused(tmp_path):
    pd.DataFrame({"t": [TRAINED + DAY]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError):
        count_new_rows(spec(), CHAMPION, FileStore(str(tmp_path)), LATER)
