"""The matrix of losses, and that nothing of it is handed out before it is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from airflow_mlops.core.backtest.losses import LossTable, RowErrors, mean_of, signed
from airflow_mlops.core.records.backtest import LossBlock
from tests.support.loss_tables import BLOCKS, DAY, ROWS, START, WEEK, constant, drawn, table

MATRIX = [[1.0, 2.0, 4.0], [0.0, 1.5, 3.0], [0.0, 0.0, 1.0]]


def test_losses_are_found_by_version_and_step() -> None:
    made = constant(MATRIX)
    assert (made.first, made.trained(1), made.fresh(2), made.every) == (0, (2,), 3, WEEK)
    assert [made.loss(version, 2) for version in (1, 2, 3)] == [4.0, 3.0, 1.0]
    assert made.loss(3, 1) is None
    assert made.rows(1) == BLOCKS * ROWS
    assert made.mean_loss([(0, 1), (1, 2), (2, 2)]) == pytest.approx((1.0 + 1.5 + 3.0) / 3)


def test_steps_count_by_their_rows_and_those_without_a_loss_do_not() -> None:
    made = constant(MATRIX, rows=[10, 30, 0])
    assert made.weights == {0: 0.25, 1: 0.75}
    assert made.span == 2 * WEEK
    assert made.mean_loss([(0, 1), (1, 1), (2, 1)]) == pytest.approx(0.25 * 1.0 + 0.75 * 2.0)
    assert constant(MATRIX, rows=[0, 0, 0]).mean_loss([(0, 1), (1, 1), (2, 1)]) is None


def test_a_step_that_one_model_cannot_predict_counts_for_none() -> None:
    made = table(3, lambda trained, used, block: None if (trained, used) == (1, 2) and block >= 0 else 1.0)
    assert set(made.weights) == {0, 1}


def test_what_is_not_trained_by_then_has_no_loss() -> None:
    made = constant(MATRIX, untrained=[0])
    assert (made.first, made.fresh(0), made.fresh(1)) == (1, None, 2)
    with pytest.raises(ValueError, match="no loss of version 3 in step 1, which counts"):
        made.mean_loss([(1, 3)])


@pytest.mark.parametrize("delay", [timedelta(0), DAY, 3 * DAY, 9 * DAY])
def test_a_block_is_known_when_its_label_delay_is_over(delay: timedelta) -> None:
    made = drawn(1, delay=delay)
    for step in range(1, 6):
        known = made.known(step, tuple((n, 1) for n in range(step)))
        blocks = known.served_blocks()
        assert all(block.end + delay <= known.as_of for block in blocks)
        whole = [block for n in range(step) for block in made.blocks(1, n)]
        assert len(blocks) == sum(block.end + delay <= known.as_of for block in whole)
    assert made.known(3, ((0, 1), (1, 1), (2, 1))).new_blocks() != ()


def test_new_blocks_are_each_told_once() -> None:
    made = drawn(2, delay=2 * DAY)
    told = [
        block.start for step in range(1, 10) for block in made.known(step, [(n, 1) for n in range(step)]).new_blocks()
    ]
    last = made.known(9, [(n, 1) for n in range(9)]).served_blocks()
    assert len(told) == len(set(told)) == len(last) == 9 * 7 - 2
    assert told == [block.start for block in last]


def test_only_what_served_is_known() -> None:
    known = drawn(3).known(4, ((0, 1), (1, 1), (2, 3), (3, 3)))
    assert (known.champion, known.since, known.first, known.remaining, known.versions) == (3, 2, 0, 6, (1, 3))
    assert {block.start for block in known.served_blocks()} == {START + n * DAY for n in range(14, 27)}
    assert len(known.blocks(1, 3)) == 6  # an earlier champion can be asked for what it would have said
    for ask in (lambda: known.blocks(2, 3), lambda: known.holdout(2), lambda: known.holdout_loss(5)):
        with pytest.raises(ValueError, match="has not served"):
            ask()


def test_errors_are_told_once_in_order_and_only_of_the_champion() -> None:
    made = drawn(4, delay=2 * DAY)
    assert made.errors_of is not None
    served = ((0, 1), (1, 1), (2, 3), (3, 3), (4, 3))
    third = made.errors_of(2, 3).errors, made.errors_of(3, 3).errors
    assert made.known(3, served[:3]).new_errors().tolist() == third[0][: 5 * 40].tolist()
    assert made.known(4, served[:4]).new_errors().tolist() == [*third[0][5 * 40 :], *third[1][: 5 * 40]]
    with pytest.raises(ValueError, match="no errors of single rows"):
        replace(made, errors_of=None).known(3, served[:3]).new_errors()


def test_rows_between_two_instants() -> None:
    times = np.array(["2026-01-05T00:00", "2026-01-05T12:00", "2026-01-06T00:00"], "datetime64[us]")
    found = RowErrors(times=times, errors=np.array([1.0, 2.0, 3.0])).between(START, START + DAY)
    assert found.tolist() == [1.0, 2.0]


def test_a_cut_table_holds_what_is_known_and_nothing_else() -> None:
    made = drawn(5, steps=6, delay=3 * DAY)
    cut = made.cut(START + 3 * WEEK)
    assert set(cut.weights) == {0, 1, 2}
    assert cut.rows(2) == 4 * ROWS
    assert cut.loss(1, 2) == pytest.approx(mean_of(made.blocks(1, 2)[:4]))
    assert cut.loss(1, 3) is None
    assert cut.span == 3 * WEEK


def test_means_are_weighted_by_rows() -> None:
    def block(rows: int, loss: float | None) -> LossBlock:
        return LossBlock(start=START, end=START + DAY, rows=rows, loss=loss)

    assert mean_of([block(1, 1.0), block(3, 2.0), block(9, None)]) == pytest.approx(1.75)
    assert mean_of([block(9, None)]) is None


def test_where_more_is_better_losses_are_turned() -> None:
    made: LossTable = constant(MATRIX)
    turned = signed(made.models[1], -1.0)
    assert [step.loss for step in turned.steps] == [-1.0, -2.0, -4.0]
    assert (turned.holdout_loss, turned.holdout[0].loss, turned.steps[1].blocks[0].loss) == (-1.0, -1.0, -2.0)
    assert signed(turned, -1.0) == made.models[1]
