"""The peers by name, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_mlops.core.backtest.peers.calendar import make_calendar
from airflow_mlops.core.backtest.peers.cara import make_cumulative, make_periodic, make_threshold
from airflow_mlops.core.backtest.peers.cusum import make_cusum
from airflow_mlops.core.backtest.peers.detectors import has_river, make_adwin, make_ddm
from airflow_mlops.core.backtest.peers.forecast import make_upf
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule
from airflow_mlops.core.records.candidate import Task
from airflow_mlops.spec.problems import Problem, ReasonCode


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A published policy."""

    make: Callable[[PeerInput], Rule]
    tuned: bool = True
    """Whether it is tuned on, or begins with, steps before the span."""
    classes_only: bool = False
    """Whether it counts wrong classes, of which numbers have none."""
    by_river: bool = False


PEERS: dict[str, Peer] = {
    "calendar": Peer(make=make_calendar),
    "cusum": Peer(make=make_cusum),
    "adwin": Peer(make=make_adwin, tuned=False, by_river=True),
    "ddm": Peer(make=make_ddm, tuned=False, by_river=True, classes_only=True),
    "cara_threshold": Peer(make=make_threshold),
    "cara_cumulative": Peer(make=make_cumulative),
    "cara_periodic": Peer(make=make_periodic),
    "upf": Peer(make=make_upf),
}
"""In the order in which they are shown."""


def why_left_out(name: str, task: Task, *, history: bool) -> str | None:
    """Why a peer cannot be asked in this backtest; None where it can."""
    peer = PEERS[name]
    if peer.classes_only and task == "regression":
        return "it counts wrong classes, and the label is a number"
    if peer.tuned and not history:
        return (
            "it is tuned on the steps before --from, and there are fewer than three whose training window the source "
            "has rows for and whose labels were known; choose a later --from"
        )
    return None


def missing_library(names: Sequence[str]) -> Problem | None:
    """Refuse the policies that are river's where river is not installed."""
    wanting = [name for name in names if name in PEERS and PEERS[name].by_river]
    if not wanting or has_river():
        return None
    return Problem(
        code=ReasonCode.SPEC_INVALID_VALUE,
        field="--policies",
        found=f"{', '.join(wanting)}, which the library river decides, and river is not installed",
        allowed="policies whose libraries are installed",
        fix="install river (0.26 or later), or name the other policies",
    )
