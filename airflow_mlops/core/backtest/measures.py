"""From the turns of a policy to its numbers: losses, decays and their ends, false alarms, the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from airflow_mlops.core.records.backtest import Line, Turn


def line_of(
    policy: str,
    turns: Sequence[Turn],
    *,
    end: datetime,
    greater_is_better: bool,
    settings: Mapping[str, str] | None = None,
) -> Line:
    """Sum up one policy.

    Parameters
    ----------
    turns
        In order of time; the first one is the first model's.
    end
        Where the last turn's future ends.
    greater_is_better
        The metric's direction: the worst future is its lowest value then.
    """
    known = [turn for turn in turns if turn.loss is not None]
    rows = sum(turn.rows for turn in known)
    sign = -1.0 if greater_is_better else 1.0
    worst = max(known, key=lambda turn: sign * (turn.loss or 0.0), default=None)
    lengths = [length / timedelta(days=1) for length in decays(turns, end)]
    return Line(
        policy=policy,
        settings=dict(settings or {}),
        turns=tuple(turns),
        retrainings=sum(turn.retrained for turn in turns),
        promotions=sum(turn.promoted for turn in turns),
        mean_loss=math.fsum((turn.loss or 0.0) * turn.rows for turn in known) / rows if rows else None,
        worst_loss=None if worst is None else worst.loss,
        worst_step=None if worst is None else worst.as_of,
        recovery_days=math.fsum(lengths) / len(lengths) if lengths else None,
        longest_days=max(lengths, default=None),
        decays=len(lengths),
        false_alarms=sum(turn.false_alarm for turn in turns),
        escalations=sum(turn.action in {"escalate", "block"} for turn in turns),
        compute_seconds=round(math.fsum(turn.seconds for turn in turns), 2),
    )


def with_objective(line: Line, price: float, best: float | None, *, greater_is_better: bool) -> Line:
    """Add to a line its loss with the retrainings paid, and how that compares with the oracle's.

    Parameters
    ----------
    price
        What one retraining makes the mean worse by.
    best
        Objective of the oracle; None: it is not compared.

    Examples
    --------
    >>> done = Line(policy="always", turns=(), retrainings=10, promotions=10, mean_loss=0.5, worst_loss=None,
    ...     worst_step=None, recovery_days=None, longest_days=None, decays=0, false_alarms=0, escalations=0,
    ...     compute_seconds=0.0)
    >>> found = with_objective(done, 0.01, 0.4, greater_is_better=False)
    >>> found.objective, round(found.to_oracle, 3)
    (0.6, 1.5)
    """
    if line.mean_loss is None:
        return line
    sign = -1.0 if greater_is_better else 1.0
    objective = line.mean_loss + sign * price * line.retrainings
    ratio = None
    if best is not None and min(best, objective) > 0:
        ratio = best / objective if greater_is_better else objective / best
    return replace(line, objective=objective, to_oracle=ratio)


def decays(turns: Sequence[Turn], end: datetime) -> Iterator[timedelta]:
    """Lengths of the decays: from the first step at which the serving model is behind, to the first at which not.

    A step of which that is not known (too few rows) neither begins nor ends a decay.

    >>> from datetime import UTC
    >>> day = lambda n, behind: Turn(as_of=datetime(2013, 1, n, tzinfo=UTC), action="wait", retrained=False,
    ...     promoted=False, serving=datetime(2013, 1, 1, tzinfo=UTC), reason="", behind=behind)
    >>> found = decays([day(1, False), day(3, True), day(5, None), day(7, False), day(9, True)],
    ...                datetime(2013, 1, 10, tzinfo=UTC))
    >>> [length.days for length in found]
    [4, 1]
    """
    since: datetime | None = None
    for turn in turns:
        if turn.behind and since is None:
            since = turn.as_of
        elif turn.behind is False and since is not None:
            yield turn.as_of - since
            since = None
    if since is not None:
        yield end - since


def with_front(lines: Sequence[Line], *, greater_is_better: bool) -> tuple[Line, ...]:
    """Mark the lines that no other one beats in mean loss and promotions together.

    A line beats another when it is as good in both, and better in one: the Pareto front is what none beats. Lines
    that are equal in both are both on it, or both off.
    """
    sign = -1.0 if greater_is_better else 1.0

    def beaten(line: Line) -> bool:
        mine = (sign * (line.mean_loss or 0.0), line.promotions)
        others = [(sign * other.mean_loss, other.promotions) for other in lines if other.mean_loss is not None]
        return any(a <= mine[0] and b <= mine[1] and (a, b) != mine for a, b in others)

    return tuple(replace(line, pareto=line.mean_loss is not None and not beaten(line)) for line in lines)
