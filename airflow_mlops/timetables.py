"""The schedule of a loop: a cron expression that ends, or that only backfills follow."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from airflow.timetables.trigger import CronTriggerTimetable

if TYPE_CHECKING:
    from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
    from pendulum.tz.timezone import FixedTimezone, Timezone

BY_HAND = "0 0 1 * *"
"""What a backfill of a DAG follows that has no schedule of its own: the first of each month."""


class LoopTimetable(CronTriggerTimetable):
    """A cron expression of which the scheduler follows only a part.

    Airflow's own way to end a schedule, a DAG's end date, also holds the tasks of every later run: one asked for by
    hand, or by a retraining event, as of a time within the data, would wait for ever. And a DAG without a schedule is
    refused by `airflow backfill`. Here the scheduler is told to stop, and all other runs are as free as ever.

    Parameters
    ----------
    cron
        Five fields or a preset.
    timezone
        Zone that it is read in.
    until
        The scheduler makes no run after this; None: it goes on.
    automatic
        False: the scheduler makes no run at all. Backfills follow the expression all the same.
    """

    def __init__(
        self,
        cron: str,
        *,
        timezone: str | Timezone | FixedTimezone,
        until: datetime | None = None,
        automatic: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(cron, timezone=timezone, **kwargs)
        self.bounded(until, automatic)

    def bounded(self, until: datetime | None, automatic: bool) -> LoopTimetable:
        """Set which part of the expression the scheduler follows; return itself."""
        self._until = until
        self._automatic = automatic
        if not automatic:
            self.description = "Only by hand, by backfill or by a retraining event"
        return self

    @property
    def summary(self) -> str:
        """What the list of DAGs shows."""
        return super().summary if self._automatic else "by hand"

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> LoopTimetable:
        """Make it from what `serialize` gave."""
        found = cast("LoopTimetable", super().deserialize(data))
        until = data["until"]
        return found.bounded(None if until is None else datetime.fromisoformat(until), data["automatic"])

    def serialize(self) -> dict[str, Any]:
        """Return it as JSON data, for the table of serialized DAGs."""
        until = None if self._until is None else self._until.isoformat()
        return {**super().serialize(), "until": until, "automatic": self._automatic}

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run; none where it is the scheduler that asks and the loop does not run by itself then.

        The scheduler asks with the DAG's own `catchup`, which the loop's DAGs never have; a backfill asks with it.
        """
        if not self._automatic and not restriction.catchup:
            return None
        found = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if restriction.catchup or found is None or self._until is None or found.run_after <= self._until:
            return found
        return None
