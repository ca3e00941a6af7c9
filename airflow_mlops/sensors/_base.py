"""What every sensor of the loop shares: three ways to wait, one way to look, and one deadline."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_mlops._loop_context import LoopContext, consequences
from airflow_mlops.spec import ModelSpec

if TYPE_CHECKING:
    from airflow_mlops.core.ports import DataStore
    from airflow_mlops.core.records.snapshot import Window
    from airflow_mlops.triggers.base import WaitingTrigger

GRACE = timedelta(minutes=2)
"""After the deadline, Airflow itself ends a wait that no triggerer ended."""


class WaitingSensor(LoopContext, BaseSensorOperator):
    """Base of the sensors: looks in a worker, and waits there, between two looks, or in the triggerer.

    The deadline is `timeout` seconds after the first look of a try, and stays there however often the task is
    deferred; a retry begins anew. At the deadline the source is looked at once more. Then the task fails, without a
    retry (``AirflowSensorTimeout``), or is skipped with ``soft_fail=True``. A source, a specification or a record that
    is wrong fails it at once with the sentence that says so, or skips it with ``soft_fail=True``, too. A store that
    does not answer is no answer: in a worker the look fails and the task is retried, in the triggerer it is looked at
    again.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    deferrable
        Wait in the triggerer.
    """

    def __init__(self, *, spec: ModelSpec | str | Path, deferrable: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.deferrable = deferrable
        self.run_url = self.report_url = self.version_url = ""
        self.lacking = ""

    @abstractmethod
    def look(self, context: Any) -> dict[str, Any] | None:
        """Return the report to fire with, or None to wait on; then `lacking` says what for."""

    @abstractmethod
    def watch(self, context: Any, **how: Any) -> WaitingTrigger:
        """Return what the triggerer is to watch after :meth:`look` found nothing; `how` is for its base class."""

    def execute(self, context: Any) -> Any:
        """Wait in this worker, or hand the waiting to the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        event = {"deadline": (datetime.now(UTC) + timedelta(seconds=self.timeout)).isoformat()}
        # The first look is like all others: only Airflow's way back from a deferral knows soft_fail and never_fail.
        return self.resume_execution("execute_complete", {"event": event}, context)

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once."""
        with consequences():
            report = self.look(context)
        return PokeReturnValue(is_done=report is not None, xcom_value=report)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Look in a worker: at first, and after the triggerer saw something, or the deadline pass."""
        with consequences():
            report = self.look(context)
        if report is None:
            if event.get("problem"):  # the same look in this worker would have failed the task with this sentence
                self.log.warning("only the triggerer cannot look at the source: %s", event["problem"])
            self._wait(context, datetime.fromisoformat(event["deadline"]))
        return report

    def _wait(self, context: Any, deadline: datetime) -> NoReturn:
        """Hand over to the triggerer: this leaves the task by an exception."""
        from airflow.sdk.exceptions import AirflowSensorTimeout

        from airflow_mlops.triggers.shared_polls import PACE

        now = datetime.now(UTC)
        if deadline <= now:
            raise AirflowSensorTimeout(
                f"{self.task_id}: what it waits for had not come by {deadline.isoformat()}: {self.lacking}"
            )
        with consequences():
            trigger = self.watch(
                context,
                interval=self.poke_interval,
                deadline=deadline.isoformat(),
                after=(now + timedelta(seconds=PACE * self.poke_interval)).isoformat(),
            )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=deadline - now + GRACE)

    # -- what the three of them need ----------------------------------------------------------------------------------

    @staticmethod
    def store(spec: ModelSpec) -> DataStore:
        """Open the model's source."""
        from airflow_mlops.config import settings
        from airflow_mlops.stores.open_source import open_rows

        return open_rows(spec, data_root=settings().data_root)

    @staticmethod
    def rows_of(spec: ModelSpec, window: Window) -> dict[str, Any]:
        """Return a window of the model's source as a trigger's arguments."""
        from airflow_mlops.config import settings

        return {
            "source": spec.data.source.model_dump(mode="json"),
            "data_root": settings().data_root,
            "time": spec.data.time,
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
        }

    def mark(self, spec: ModelSpec, window: Window, **more: Any) -> str:
        """Return the mark of the source before it is read, for the triggerer to compare; empty when nobody will."""
        from airflow_mlops.triggers.source_probe import change_token_of_all, window_of

        if not self.deferrable:
            return ""
        rows = self.rows_of(spec, window)
        return change_token_of_all(
            rows["source"], rows["data_root"], rows["time"], window_of(rows["start"], rows["end"]), **more
        )
