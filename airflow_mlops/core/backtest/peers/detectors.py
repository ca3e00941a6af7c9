"""Detectors of change in the champion's errors, row by row: river's ADWIN and DDM, as they are published.

river is a development dependency. Where it is missing these two policies are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from airflow_mlops.core.backtest.losses import KnownLosses
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule, Wish


def has_river() -> bool:
    """Whether river is installed."""
    return find_spec("river") is not None


def make_adwin(given: PeerInput) -> Rule:  # noqa: ARG001 - a peer like the others
    """Make ADWIN with its published settings (delta 0.002), which trains when the errors have risen.

    A. Bifet and R. Gavalda, Learning from time-changing data with adaptive windowing, SDM 2007. It finds changes in
    both directions; one that is for the better asks for nothing, as in the authors' adaptive trees (IDA 2009).
    """
    from river import drift

    return DetectorRule(drift.ADWIN, _rises)


def make_ddm(given: PeerInput) -> Rule:  # noqa: ARG001
    """Make DDM with its published settings (30 rows, 3 deviations), which trains when the error rate has risen.

    J. Gama, P. Medas, G. Castillo and P. Rodrigues, Learning with drift detection, SBIA 2004. It counts wrong classes.
    There, a new model learns the rows since the warning; here every policy trains on the specification's window.
    """
    from river import drift

    return DetectorRule(drift.binary.DDM, _calls)


def _rises(detector: Any, error: float) -> bool:
    """Feed ADWIN one error; whether its window was cut, and the mean of what is left is above that of the whole."""
    before = float(detector.estimation)
    detector.update(error)
    return bool(detector.drift_detected) and float(detector.estimation) > before


def _calls(detector: Any, error: float) -> bool:
    """Feed DDM one error; whether it calls."""
    detector.update(bool(error))
    return bool(detector.drift_detected)


class DetectorRule:
    """Feeds a detector the champion's errors in order; trains once it has called, and begins anew with a new champion.

    Parameters
    ----------
    make
        Makes a detector that has seen nothing.
    feed
        Gives it one error, and says whether it calls.
    """

    def __init__(self, make: Callable[[], Any], feed: Callable[[Any, float], bool]) -> None:
        self._make, self._feed = make, feed
        self._champion: int | None = None
        self._detector: Any = None
        self._rows = 0
        self._called: int | None = None

    def __call__(self, known: KnownLosses) -> Wish:
        """Feed what became known since the step before."""
        if known.champion != self._champion:
            self._champion, self._detector, self._rows, self._called = known.champion, self._make(), 0, None
        for error in known.new_errors():
            self._rows += 1
            # All rows are fed, as somebody who looks daily would: the first call of a champion is what trains.
            if self._feed(self._detector, float(error)) and self._called is None:
                self._called = self._rows
        if self._called is None:
            return Wish(retrain=False, reason=f"no change in {self._rows:,} rows")
        return Wish(retrain=True, reason=f"a change at row {self._called:,} of {self._rows:,} since the last training")
