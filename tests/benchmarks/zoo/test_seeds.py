"""The table of several seeds, on findings made by hand."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any

import pytest

from benchmarks.zoo.daily import make_daily_table
from benchmarks.zoo.measure import Zoo
from benchmarks.zoo.referee import Finding
from benchmarks.zoo.seeds import make_seed_table, score_zoo, spread_of, zoos_of


def finding(name: str = "one", **changes: Any) -> Finding:
    return Finding(**{"name": name, "kind": "stable", "mark": "RIGHT", "severe": (), "mild": (), **changes})


def test_seeds_are_numbers_that_may_name_their_variant(tmp_path: Any) -> None:
    usual = Zoo(variant="drawn", weeks=26, folder=tmp_path)
    found = zoos_of(["2", "3:shared", "4:drawn"], usual)
    assert [(zoo.seed, zoo.variant, zoo.weeks) for zoo in found] == [
        (2, "drawn", 26),
        (3, "shared", 26),
        (4, "drawn", 26),
    ]
    assert {zoo.folder for zoo in found} == {tmp_path}


@pytest.mark.parametrize("word", ["", "one", "1:small", "-1", "1:drawn:2"])
def test_what_is_no_seed_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="a seed is a number"):
        zoos_of([word], Zoo())


def test_needless_is_what_is_done_where_nothing_changes_by_stream_and_year() -> None:
    findings = [
        finding(retrainings=2, escalations=1),
        finding(kind="harmless", blocked=3),
        finding(kind="sudden", retrainings=5, escalations=4, blocked=1, regret=0.03, mark="WEAK"),
        finding(kind="fault", blocked=2, regret=-0.01),
    ]
    score = score_zoo(findings, weeks=26)
    year = 26 * 7 / 365.25
    assert score["needless_retrainings"] == pytest.approx(2 / (2 * year))
    assert score["needless_escalations"] == pytest.approx(1 / (2 * year))
    assert score["sound_windows_blocked"] == 4
    assert (score["RIGHT"], score["WEAK"], score["WRONG"], score["right"]) == (3, 1, 0, 0.75)
    assert score["mean_regret"] == pytest.approx(0.01)
    assert score["worst_regret"] == 0.03


def test_a_zoo_without_a_known_regret_or_a_quiet_stream_has_none() -> None:
    score = score_zoo([finding(kind="sudden", mark="WRONG", severe=("it crashes",))], weeks=52)
    assert score["mean_regret"] is score["worst_regret"] is score["needless_retrainings"] is None


def test_mean_and_spread_over_seeds() -> None:
    shares = [0.8, 0.9, 1.0]
    spread = spread_of([{"right": share, "mean_regret": None} for share in shares])
    assert spread["right"] == {"mean": pytest.approx(mean(shares)), "sd": pytest.approx(stdev(shares))}
    assert spread["mean_regret"] == {"mean": None, "sd": None}
    assert spread_of([{"right": 0.5}]) == {"right": {"mean": 0.5, "sd": None}}


def test_the_table_has_a_row_for_each_seed_their_mean_and_spread_and_what_was_not_right() -> None:
    weak = finding("two", kind="sudden", mark="WEAK", mild=("6 retrainings, 5 would do",), regret=0.02)
    table = make_seed_table(["1, shared", "2, drawn"], [[finding(regret=0.0), weak], [finding(regret=0.0)]], 52)
    assert [row[0] for row in table.rows] == ["1, shared", "2, drawn", "mean", "standard deviation"]
    assert table.rows[0][1:4] == ("1", "1", "0")
    assert table.rows[2][4] == "75.0%"
    assert table.notes == ("1, shared: two WEAK: 6 retrainings, 5 would do.",)


def test_days_are_counted_by_stream_and_year() -> None:
    days: list[dict[str, Any]] = [{}] * 731
    kept = [
        {
            "stream": "a",
            "seed": 1,
            "variant": "shared",
            "promoted": 1,
            "action": {"retrain": 2, "wait": 729},
            "days": days,
        },
        {
            "stream": "b",
            "seed": 1,
            "variant": "shared",
            "promoted": 0,
            "action": {"escalate": 1, "wait": 729},
            "days": days[:-1],
        },
    ]
    table, rates = make_daily_table(kept)
    assert rates == {
        "retrain": pytest.approx(2 / 4, rel=1e-3),
        "escalate": pytest.approx(1 / 4, rel=1e-3),
        "block": 0.0,
    }
    assert [row[:6] for row in table.rows] == [
        ("a", "1, shared", "731", "2", "0", "0"),
        ("b", "1, shared", "730", "0", "1", "0"),
    ]
