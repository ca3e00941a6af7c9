"""Tell everybody who asked to be told: a message that does not arrive is an error in the log, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
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
        The task's, for the templates of notifiers; they see the event as `event`.

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
            _send(wanted, event, {**context, "event": event})
        except Exception as error:  # noqa: BLE001 - whoever's notifier it is, its failure must not undo a promotion
            _say(name, wanted, event, error)
        else:
            told.append(name)
    return tuple(told)


def _send(wanted: NotificationSpec, event: LoopEvent, context: Any) -> None:
    """Send it; a notifier renders its own template fields, and here the other arguments are rendered.

    Nothing is rendered twice: a reason may quote a column's value, and that must stay text.
    """
    from airflow_mlops.notifications.webhook import LoopNotifier

    if wanted.conn_id:
        LoopNotifier(wanted.conn_id, event).notify(context)
        return
    module, _, name = str(wanted.notifier).rpartition(".")
    made = getattr(import_module(module), name)
    fields = frozenset(getattr(made, "template_fields", ()))
    renderer = LoopNotifier("")  # any of Airflow's templaters: all that is used of it is render_template
    arguments = {
        key: value if key in fields else renderer.render_template(value, context)
        for key, value in wanted.arguments.items()
    }
    notifier = made(**arguments)
    # Not notifier(context): that would log the words of its error, whatever they quote.
    notifier.render_template_fields(context)
    notifier.notify(context)


def _say(name: str, wanted: NotificationSpec, event: LoopEvent, error: Exception) -> None:
    from airflow_mlops.notifications.webhook import NotSentError

    # The words of a stranger's error, and of a failed request, may quote an address with its key.
    what = str(error) if isinstance(error, NotSentError) else f"{type(error).__name__} from {name}"
    if wanted.conn_id:
        fix = f"look at the Airflow connection '{wanted.conn_id}' (type http: host, password), and at who listens there"
    else:
        fix = f"see that {name} can be imported here, and try it with the arguments of the specification"
    log.error("nobody was told of '%s' by %s: %s; nothing else is affected; %s", event.title, name, what, fix)
