"""What a person released, and what is known beforehand."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from airflow_mlops.core.faults import covering, find_faults
from airflow_mlops.core.records.fault import ReleasedSpan
from tests.support.fault_streams import DAY, T0, day, stream

BEFORE = stream(np.random.default_rng(0), "lognormal", 60, 250)
DAYS = [day(number, 100 * x if number >= 45 else x) for number, x in enumerate(BEFORE)]
ROLES = {"x": "numeric"}


def test_rows_that_were_released_are_not_found():
    (span,) = find_faults(DAYS, ROLES)
    assert (span.start, span.before_release) == (T0 + 45 * DAY, False)
    all_of_it = ReleasedSpan(start=span.start, end=span.end)
    assert find_faults(DAYS, ROLES, released=(all_of_it,)) == ()
    (rest,) = find_faults(DAYS, ROLES, released=(ReleasedSpan(start=span.start, end=span.start + 5 * DAY),))
    assert (rest.start, rest.end) == (span.start + 5 * DAY, span.end)


@pytest.mark.parametrize("anchored", [False, True])
def test_a_change_that_is_to_stay_leaves_out_what_was_before(anchored):
    lasting = ReleasedSpan(start=T0 + 45 * DAY, end=None)
    anchor = DAYS[:30] if anchored else ()
    (span,) = find_faults(DAYS, ROLES, anchor=anchor, released=(lasting,))
    assert (span.start, span.end, span.before_release) == (T0, T0 + 45 * DAY, True)
    assert find_faults(DAYS[46:], ROLES, anchor=anchor, released=(lasting,)) == ()


def test_a_source_that_was_mended_has_no_fault_any_more():
    (span,) = find_faults(DAYS, ROLES, anchor=DAYS[:40])
    mended = [day(number, x) for number, x in enumerate(BEFORE)]
    assert find_faults(mended, ROLES, anchor=DAYS[:40], known=(span,)) == ()
    assert find_faults(mended[40:], ROLES, anchor=DAYS[:40], known=(span,)) == ()


def test_a_stream_of_few_rows_is_judged_in_several_days():
    values = stream(np.random.default_rng(1), "lognormal", 90, 24)
    days = [day(number, 1000 * x if number >= 78 else x) for number, x in enumerate(values)]
    (span,) = find_faults(days, ROLES)
    assert T0 + 78 * DAY - 3 * DAY < span.start <= T0 + 78 * DAY
    assert span.end == T0 + 90 * DAY


def test_columns_that_come_or_change_their_type_are_left_to_others():
    half = [day(number, x) if number < 30 else day(number, x.astype(str)) for number, x in enumerate(BEFORE)]
    assert find_faults(half, ROLES) == ()
    assert find_faults(DAYS, {"y": "numeric"}) == ()
    assert find_faults((), ROLES) == ()


def test_spans_are_covered_once():
    (span,) = find_faults(DAYS, ROLES)
    assert [(one.start, one.end) for one in covering([span, span])] == [(span.start, span.end)]
    assert covering(()) == ()
    assert span.end - span.start == timedelta(days=15)
