"""Tell everybody who asked to be told: a message that does not arrive is an error in the log, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlops.notifications.event import LoopEvent
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.spec.promotion import NotificationSpec

log = logging.getLogger(__name__)


def tell(spec: ModelSpec, event: LoopEvent, context: Mapping[str, Any]) -> tuple[str, ...]:
    """Send an event to all of `spec.notifications` that ask for it.

    Never raises because of a notification: what the stage did stands, whether or not somebody heard of it.

    Parameters
    ----------
    spec
        Whose notifications.
    event
        What happened.
    context
        The task's. Templates of a notifier's arguments see the event as `event`, and nothing else.

    Returns
    -------
    tuple of str
        Those who were told: connection id or class path.
    """
    told = []
    for wanted in spec.notifications:
        if event.event not in wanted.events:
            continue
        name = wanted.conn_id or str(wanted.notifier)
        try:
            _send(wanted, event, context)
        except Exception as error:  # noqa: BLE001 - whoever's notifier it is, its failure must not undo a promotion
            _say(name, wanted, event, error)
        else:
            told.append(name)
    return tuple(told)


def _send(wanted: NotificationSpec, event: LoopEvent, context: Any) -> None:
    """Send it, by the webhook or by the notifier that is named, with its arguments rendered once and here.

    Nothing is rendered twice: a reason may quote a column's value, and that must stay text.

    Raises
    ------
    TrainingError
        If the platform does not allow the path, or there is nothing at it.
    NotAllowedError
        If it is no notifier, or a template asks for what templates do not see.
    """
    from airflow.sdk import BaseNotifier

    from airflow_mlops.core.importing import import_object
    from airflow_mlops.notifications.templates import NotAllowedError, render
    from airflow_mlops.notifications.webhook import LoopNotifier

    if wanted.conn_id:
        LoopNotifier(wanted.conn_id, event).notify(context)
        return
    path = str(wanted.notifier)
    made = import_object(path, "notifications.notifier")
    if not (isinstance(made, type) and issubclass(made, BaseNotifier)):
        raise NotAllowedError(f"{path} is no notifier: name a subclass of airflow.sdk.BaseNotifier")
    arguments = render(dict(wanted.arguments), event)
    notifier = made(**arguments)
    # Not notifier(context), which would log the words of its error, whatever they quote, and would render its fields
    # again, with every connection and variable at hand: here they hold text, some of it from the data.
    notifier.notify(_shown(event, context))


def _shown(event: LoopEvent, context: Mapping[str, Any]) -> Any:
    """What a notifier is given beside its arguments: the event, and the task's own ids; no connection or variable."""
    ti = context.get("ti")
    ids = {name: str(getattr(ti, name, "")) for name in ("dag_id", "run_id", "task_id")}
    return {"event": event, "ti": SimpleNamespace(**ids), **ids}


def _say(name: str, wanted: NotificationSpec, event: LoopEvent, error: Exception) -> None:
    from airflow_mlops.notifications.templates import NotAllowedError
    from airflow_mlops.notifications.webhook import NotSentError
    from airflow_mlops.spec.problems import Refusal

    # The words of a stranger's error, and of a failed request, may quote an address with its key.
    own = isinstance(error, NotSentError | NotAllowedError | Refusal)
    what = str(error) if own else f"{type(error).__name__} from {name}"
    if wanted.conn_id:
        fix = f"look at the Airflow connection '{wanted.conn_id}' (type http: host, password), and at who listens there"
    else:
        fix = f"see that {name} can be imported here, and try it with the arguments of the specification"
    log.error("nobody was told of '%s' by %s: %s; nothing else is affected; %s", event.title, name, what, fix)
