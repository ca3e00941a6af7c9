"""Watch for the rows of a window to arrive."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

from airflow_mlops.triggers.base import Stamped, WaitingTrigger
from airflow_mlops.triggers.shared_polls import PollAnswer
from airflow_mlops.triggers.source_probe import change_token, has_rows, is_files, name_of, place_of, window_of


class WindowTrigger(WaitingTrigger):
    """Fires when a source holds rows of a window: cheap, and it never holds data.

    Of files, names, sizes and times of change are looked at; only when one of them is new, a file is opened. A
    database is asked whether there are rows. Triggers on the same source and of the same interval share each look.

    Parameters
    ----------
    min_rows
        How many rows are enough.
    **given
        As of :class:`~airflow_mlops.triggers.base.WaitingTrigger`.
    """

    arguments = (*WaitingTrigger.arguments, "min_rows")
    stored_path = "airflow_mlops.triggers.drift.WindowTrigger"

    def __init__(self, *, min_rows: int = 1, **given: Any) -> None:
        super().__init__(**given)
        self.min_rows = min_rows

    @property
    def beat(self) -> str:
        """The source's name."""
        return name_of(self.source, self.data_root)

    @cached_property
    def _stamped(self) -> Stamped:
        return Stamped(self.beat, place_of(self.source, self.data_root), self.interval)

    async def look(self) -> PollAnswer:
        """Look at the mark of files, and at the rows when there may be some."""
        window, version = window_of(self.start, self.end), None
        if is_files(self.source):
            marked = await self._stamped.mark(partial(change_token, self.source, self.data_root, self.time, window))
            if marked.error is not None:
                return marked
            version = marked.value
        asked = (self.time, self.start, self.end, self.min_rows)
        find = partial(has_rows, self.source, self.data_root, self.time, window, self.min_rows)
        return await self._stamped.ask(asked, version, find)
