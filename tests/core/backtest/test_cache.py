"""What is finished is kept whole, found again, and never computed twice; what was damaged is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from airflow_mlops.core.backtest.cache import KeyLocks, ResultCache, UnfinishedError, digest, identity_of
from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.backtest import Judged, Scored
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.drifting_stream import openers, plan, specification, stream


def cache(folder: Path, *, frozen: bool = False) -> ResultCache:
    return ResultCache(open_storage(str(folder)), frozen=frozen)


def ten() -> Scored:
    return Scored(rows=10, seconds=0)


def never() -> Scored:
    raise AssertionError("this is finished")


def test_an_answer_is_computed_once_and_found_by_whoever_comes_later(tmp_path: Path) -> None:
    one = cache(tmp_path)
    assert one.find(Scored, [1, 2]) is None
    made = one.remember(Scored, "scoring", [1, 2], ten)
    assert made.rows == 10
    assert one.remember(Scored, "scoring", [1, 2], never) == made
    assert cache(tmp_path).remember(Scored, "scoring", [1, 2], never) == made
    assert cache(tmp_path).find(Scored, [2, 1]) is None
    assert cache(tmp_path).find(Judged, [1, 2]) is None


def test_a_frozen_cache_looks_and_computes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnfinishedError, match="scoring"):
        cache(tmp_path, frozen=True).remember(Scored, "scoring", [1], never)
    made = cache(tmp_path).remember(Scored, "scoring", [1], ten)
    assert cache(tmp_path, frozen=True).remember(Scored, "scoring", [1], never) == made


def test_a_failure_keeps_nothing_and_names_the_task(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="finished") as raised:
        cache(tmp_path).remember(Scored, "scoring with version 3", [1], never)
    assert raised.value.__notes__ == ["while at work on: scoring with version 3"]
    assert cache(tmp_path).find(Scored, [1]) is None


@pytest.mark.parametrize("text", ["", '{"kind": "Scored", "form', '{"kind": "Judged", "format": 1}'])
def test_a_damaged_answer_is_refused(tmp_path: Path, text: str) -> None:
    cache(tmp_path).remember(Scored, "scoring", [1], ten)
    (file,) = (tmp_path / "answers" / "scored").iterdir()
    file.write_text(text)
    with pytest.raises(RecordError, match=rf"--state: .*holds a damaged file answers/scored/{file.name}.*run again"):
        cache(tmp_path).find(Scored, [1])


@pytest.mark.parametrize("written", ["skops", "cloudpickle"])
def test_a_model_comes_back_and_a_damaged_one_is_refused(tmp_path: Path, written: str) -> None:
    spec = specification(training={"estimator": "sklearn.linear_model.LogisticRegression", "format": written})
    rows = np.array([[0.0], [1.0], [2.0], [3.0]])
    model = LogisticRegression().fit(rows, [0, 0, 1, 1])
    cache(tmp_path).keep_model(2, model, spec)
    again = cache(tmp_path).read_model(2, spec)
    assert (again.predict_proba(rows) == model.predict_proba(rows)).all()
    (file,) = (tmp_path / "models").iterdir()
    text = file.read_text()
    file.write_text(text[:-9] + ("A" if text[-9] != "A" else "B") + text[-8:])
    with pytest.raises(RecordError, match=f"damaged file models/2.{written}"):
        cache(tmp_path).read_model(2, spec)


def test_a_folder_is_claimed_by_one_work(tmp_path: Path) -> None:
    stream().to_parquet(tmp_path / "orders.parquet")
    store = openers(tmp_path)["open_store"]()
    mine = identity_of(plan(), store)
    cache(tmp_path / "state").claim(mine)
    cache(tmp_path / "state").claim(identity_of(plan(), store))
    other = identity_of(plan(specification(owner="others", features={"numeric": ["load"]})), store)
    assert mine.name != other.name
    with pytest.raises(RecordError, match="holds a backtest with the specification .*name another folder"):
        cache(tmp_path / "state").claim(other)


def test_a_lock_is_given_back_and_another_key_is_free(tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    locks = KeyLocks(tmp_path / "locks")
    with locks.hold(digest("a")), locks.hold(digest("b")):
        pass
    with pytest.raises(ZeroDivisionError), locks.hold(digest("a")):
        raise ZeroDivisionError
    with locks.hold(digest("a")):
        assert (tmp_path / "locks").stat().st_size == 0
