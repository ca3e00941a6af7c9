"""Labels of a training window: which of two is meant is never guessed, and dirt is said with counts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.snapshot import read_snapshot
from airflow_mlops.spec.problems import Problem, ReasonCode
from tests.support.taken_snapshots import HOURS, Place, flights, spec


def labelled(place: Place, labels: list[Any], **data: Any) -> Any:
    place.write(flights(late=pa.array((labels * HOURS)[:HOURS])))
    return place.take(spec(**data))


def test_two_texts_that_say_nothing_are_refused_with_both_named_and_nothing_is_written(place: Place) -> None:
    with pytest.raises(DataError) as caught:
        labelled(place, ["fraud", "legit", "legit"])
    (problem,) = caught.value.problems
    assert problem.code == ReasonCode.LABEL_AMBIGUOUS
    assert "'fraud' (" in problem.found
    assert "'legit' (" in problem.found
    assert problem.fix == "write data.positive: fraud, or data.positive: legit"
    assert place.files() == []


def issues_of_labels(snapshot: Snapshot) -> list[Problem]:
    """What a snapshot says of anything but the zone of its times."""
    return [issue for issue in snapshot.known_issues if issue.code != ReasonCode.TIME_INVALID]


@pytest.mark.parametrize("labels", [["no", "yes"], ["True", "False"], ["0", "1"], [0, 1], [True, False]])
def test_evident_pairs_need_no_word(place: Place, labels: list[Any]) -> None:
    assert issues_of_labels(labelled(place, labels)) == []


def test_a_named_class_is_enough_and_a_wrong_one_is_refused(place: Place) -> None:
    assert labelled(place, ["fraud", "legit"], positive="fraud").rows > 0
    with pytest.raises(DataError, match="data.positive: found 'spam', and the labels 'fraud'"):
        labelled(place, ["fraud", "legit"], positive="spam")


def test_dirty_labels_are_one_class_counted_and_said_and_blank_ones_none(place: Place) -> None:
    labels = ["yes", "no"] * 40 + ["Yes", " no", "", "   "]
    snapshot = labelled(place, labels)
    found = read_snapshot(snapshot, place.storage)["late"]
    assert set(found) == {"yes", "no"}
    dirty = [issue for issue in snapshot.known_issues if issue.code == ReasonCode.LABELS_DIRTY]
    assert len(dirty) == 2
    assert "blank" in dirty[0].found
    counts = [int(word) for word in dirty[1].found.replace("(", " ").split() if word.isdigit()]
    assert counts[0] == sum(counts[1:]) > 0
    assert "'Yes'" in dirty[1].found
    assert "' no'" in dirty[1].found
    (unlabelled,) = [issue for issue in snapshot.known_issues if issue.code == ReasonCode.LABELS_MISSING]
    assert f"{snapshot.unlabelled} rows" in unlabelled.found


def test_the_same_rows_spelt_cleanly_are_the_same_snapshot(place: Place) -> None:
    labels = (["yes", "no"] * HOURS)[:HOURS]
    clean = labelled(place, labels)
    place.write(flights(late=pa.array([label.upper() if i % 97 == 0 else label for i, label in enumerate(labels)])))
    assert place.take(spec()).fingerprint == clean.fingerprint


def test_labels_whose_letters_are_composed_otherwise_are_one_class(place: Place) -> None:
    composed, apart = "zu_sp\u00e4t", "zu_spa\u0308t"
    snapshot = labelled(place, ["p\u00fcnktlich", composed, apart, composed], positive=apart)
    assert set(read_snapshot(snapshot, place.storage)["late"]) == {"p\u00fcnktlich", composed}
    (issue,) = issues_of_labels(snapshot)
    assert "differs by case, surrounding space or the composition of letters only" in issue.found


def test_a_rare_class_is_said_with_its_rows(place: Place) -> None:
    labels = ["a", "b", "c"] * (HOURS // 3)
    labels[-400] = "d"
    place.write(flights(late=pa.array(labels)))
    (issue,) = issues_of_labels(place.take(spec()))
    assert issue.code == ReasonCode.CLASS_RARE
    assert issue.found.startswith("the class 'd' in 1 of ")


def test_numbers_as_text_of_a_regression_are_left_alone(place: Place) -> None:
    place.write(flights(late=pa.array([f"{i % 700}.5" for i in range(HOURS)])))
    assert issues_of_labels(place.take(spec())) == []
