"""Watch for a source to change: for sensors that have looked at its rows, and found them not to be enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from airflow_mlops.triggers.base import Stamped, WaitingTrigger
from airflow_mlops.triggers.shared_polls import PollAnswer
from airflow_mlops.triggers.source_probe import change_token_of_all, name_of, place_of, window_of


class ChangeTrigger(WaitingTrigger):
    """Fires when the mark of a source differs from the one that the sensor saw before it last looked.

    Only marks are compared (see :func:`airflow_mlops.stores.change_token.change_token`): no file is opened, no row
    read.

    Parameters
    ----------
    seen
        The mark that the worker saw.
    counted
        Columns whose values are counted in a database's mark, such as the label: a value that comes is a change.
    folders
        Folders of files that are looked at, too, such as the score log.
    **given
        As of :class:`~airflow_mlops.triggers.base.WaitingTrigger`.
    """

    arguments = (*WaitingTrigger.arguments, "seen", "counted", "folders")

    def __init__(self, *, seen: str, counted: Sequence[str] = (), folders: Sequence[str] = (), **given: Any) -> None:
        super().__init__(**given)
        self.seen = seen
        self.counted = list(counted)
        self.folders = list(folders)

    @property
    def beat(self) -> str:
        """The source's name."""
        return name_of(self.source, self.data_root)

    @cached_property
    def _stamped(self) -> Stamped:
        return Stamped(self.beat, place_of(self.source, self.data_root), self.interval)

    async def look(self) -> PollAnswer:
        """Compare the marks."""
        window = window_of(self.start, self.end)
        given = (self.source, self.data_root, self.time, window, self.counted, self.folders)
        asked = ("change", self.time, self.start, self.end, *self.counted, *self.folders)
        found = await self._stamped.ask(asked, None, partial(change_token_of_all, *given))
        return found if found.error is not None else replace(found, value=found.value != self.seen)
