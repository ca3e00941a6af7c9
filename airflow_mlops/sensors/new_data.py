"""Wait for data: enough of it, or new enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.sensors._base import WaitingSensor

if TYPE_CHECKING:
    from airflow_mlops.core.records.snapshot import Window
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.triggers.base import WaitingTrigger

_END = datetime(9000, 1, 1, tzinfo=UTC)
"""Later than any row: `up_to` is met by rows after as-of, too."""


class NewDataSensor(WaitingSensor):
    """Fire when a model's source holds enough rows, or rows that are new enough; both, where both are asked for.

    Nothing but event times is read, and only of files that changed. It waits, times out and fails as
    :class:`~airflow_mlops.sensors.drift.DriftSensor` does.

    Returns a small report: `model`, `as_of`, `window`, `rows` in it, and `newest`, the newest event time in it.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    min_rows
        Volume: at least so many rows in the window before as-of.
    window
        Length of that window; `monitoring.window` when None.
    max_age
        Freshness: a row that is not older than this at as-of.
    up_to
        Freshness: a row at or after this instant; with a time zone, or ISO 8601 in a template. The window then ends at
        as-of all the same.
    deferrable
        Wait in the triggerer.

    Examples
    --------
    >>> NewDataSensor(task_id="rows", spec="models/flight_delay.yaml", max_age=timedelta(hours=2)).min_rows
    1
    """

    template_fields = ("up_to",)

    def __init__(
        self,
        *,
        min_rows: int = 1,
        window: timedelta | None = None,
        max_age: timedelta | None = None,
        up_to: datetime | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min_rows < 1:
            raise ValueError(f"min_rows must be at least 1, not {min_rows}")
        self.min_rows = min_rows
        self.window = window
        self.max_age = max_age
        self.up_to = up_to
        self._missed: tuple[Window, int] | None = None

    def look(self, context: Any) -> dict[str, Any] | None:
        """Return the report once nothing is missing."""
        self._missed = self._missing(context)
        if self._missed is None:
            return self._report(context)
        window, rows = self._missed
        self.lacking = f"not yet at least {rows} rows in {window}"
        self.log.info("%s", self.lacking)
        return None

    def watch(self, context: Any, **how: Any) -> WaitingTrigger:
        """Watch for the first thing that is missing."""
        from airflow_mlops.triggers.window import WindowTrigger

        spec = self.model_spec(context)
        window, rows = self._missed or self._wanted(context, spec)[0]
        return WindowTrigger(min_rows=rows, **self.rows_of(spec, window), **how)

    def _missing(self, context: Any) -> tuple[Window, int] | None:
        """Return the first window that lacks rows, and how many it needs."""
        from airflow_mlops.config import settings
        from airflow_mlops.triggers.source_probe import has_rows

        spec = self.model_spec(context)
        source, root = spec.data.source.model_dump(mode="json"), settings().data_root
        for window, rows in self._wanted(context, spec):
            if not has_rows(source, root, spec.data.time, window, rows):
                return window, rows
        return None

    def _wanted(self, context: Any, spec: ModelSpec) -> list[tuple[Window, int]]:
        """Return the windows, and how many rows each needs."""
        from airflow_mlops.asof import parse_as_of
        from airflow_mlops.core.records.snapshot import Window

        as_of = self.as_of(context)
        wanted = [(Window(start=as_of - (self.window or spec.monitoring.window), end=as_of), self.min_rows)]
        if self.max_age is not None:
            wanted.append((Window(start=as_of - self.max_age, end=as_of), 1))
        if self.up_to:
            wanted.append((Window(start=parse_as_of(self.up_to), end=_END), 1))
        return wanted

    def _report(self, context: Any) -> dict[str, Any]:
        import pyarrow.compute as pc

        spec, as_of = self.model_spec(context), self.as_of(context)
        window, rows, newest = self._wanted(context, spec)[0][0], 0, None
        for batch in self.store(spec).read(window, spec.data.time, [spec.data.time]):
            rows += batch.num_rows
            last = pc.max(batch.column(0)).as_py()
            newest = last if newest is None else max(newest, last)
        return {
            "model": spec.name,
            "as_of": as_of.isoformat(),
            "window": {"start": window.start.isoformat(), "end": window.end.isoformat()},
            "rows": rows,
            "newest": newest.isoformat() if newest else None,
        }
