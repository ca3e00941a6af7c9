"""Who is told of what: events of the loop, and how they are sent. Names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlops.notifications.event import LoopEvent as LoopEvent
    from airflow_mlops.notifications.event import loop_event as loop_event
    from airflow_mlops.notifications.send import tell as tell
    from airflow_mlops.notifications.webhook import LoopNotifier as LoopNotifier

_HOMES = {"LoopEvent": "event", "loop_event": "event", "LoopNotifier": "webhook", "tell": "send"}
__all__ = [  # noqa: PLE0604 - the names are the dictionary's keys, kept once
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
