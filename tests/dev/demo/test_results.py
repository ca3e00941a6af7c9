"""The table at the end of the demo."""

from __future__ import annotations

from dev.demo.results import table


def test_numbers_stand_to_the_right_and_a_long_sentence_widens_nothing() -> None:
    rows = [
        ["2013-03-01", "backfill", "48,027", "accept", "v1", "0.5200", "0.656", "12.9", "there is no champion yet"],
        ["2013-04-01", "monitor", "718", "inconclusive", "v2", "-", "0.694", "7.0", "x"],
    ]
    assert table(rows) == [
        "as-of       caused by    rows  decision      champion  log loss    AUC  seconds  why",
        "----------  ---------  ------  ------------  --------  --------  -----  -------  ---",
        "2013-03-01  backfill   48,027  accept        v1          0.5200  0.656     12.9  there is no champion yet",
        "2013-04-01  monitor       718  inconclusive  v2               -  0.694      7.0  x",
    ]
