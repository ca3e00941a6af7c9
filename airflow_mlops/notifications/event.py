"""What somebody is told of: one event of a model's loop, in words and as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, ClassVar

from airflow_mlops.core.records.base import Record
from airflow_mlops.redaction import redact
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.promotion import EVENTS

_TITLES = {
    "accepted": "{model}: the gate accepted a candidate",
    "rejected": "{model}: the gate rejected a candidate",
    "inconclusive": "{model}: the gate came to no verdict, and nothing changed",
    "promoted": "{model}: {version} serves now",
    "rolled_back": "{model}: rolled back, {version} serves now",
    "waiting_for_approval": "{model}: the promotion of {version} waits for an answer",
    "declined": "{model}: {version} was not approved",
    "retrain": "{model}: a retraining is asked for",
    "escalate": "{model}: the loop is at its end, a person has to look",
    "block": "{model}: retraining is blocked by the data",
    "watch": "{model}: there is drift, and nothing to be done yet",
}


@dataclass(frozen=True, kw_only=True)
class LoopEvent(Record):
    """One event, ready to be sent: `title` and `text` are plain, `html` is a fragment.

    A notifier of the specification sees it in its templates as `event`: ``{{ event.title }}``.
    """

    FORMAT: ClassVar[int] = 1

    event: str
    """One of :data:`airflow_mlops.spec.promotion.EVENTS`."""
    model: str
    owner: str
    risk_tier: str
    title: str
    text: str
    html: str
    links: Mapping[str, str]
    """Addresses by name: `Report`, `MLflow run`, `Model version`, `Answer here`."""
    reasons: tuple[str, ...]
    as_of: datetime | None
    version: int | None
    run: str
    """`<dag_id>/<run_id>`."""

    def payload(self) -> dict[str, Any]:
        """Return the event as JSON for a webhook, with a `text` that Slack and its likes show as it is meant.

        They read ``<...>`` in a `text` as a link or a call to everybody; a value of a slice must not become one.
        """
        shown = self.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {**self.to_json(), "text": shown}


def loop_event(
    spec: ModelSpec,
    event: str,
    *,
    reasons: Iterable[str] = (),
    links: Mapping[str, str] | None = None,
    as_of: datetime | None = None,
    version: int | None = None,
    run: str = "",
) -> LoopEvent:
    """Put an event into words.

    Parameters
    ----------
    spec
        The model's specification: name, owner, risk tier.
    event
        One of :data:`airflow_mlops.spec.promotion.EVENTS`.
    reasons
        Why, in sentences.
    links
        Addresses by name; empty ones are left out.
    as_of, version, run
        What it is about, where that is known.

    Raises
    ------
    ValueError
        If there is no such event.

    Examples
    --------
    >>> spec = ModelSpec.model_validate({
    ...     "name": "flight_delay", "owner": "ops-analytics",
    ...     "data": {"source": {"path": "flights/"}, "time": "departure", "key": "flight_id", "label": "late"},
    ...     "training": {"estimator": "sklearn.ensemble.HistGradientBoostingClassifier"}})
    >>> print(loop_event(spec, "promoted", version=3, reasons=["log_loss gained 0.02"]).text)
    flight_delay: version 3 serves now
    owner ops-analytics, risk tier medium
    - log_loss gained 0.02
    """
    if event not in EVENTS:
        raise ValueError(f"no event {event!r}; there are {', '.join(EVENTS)}")
    title = _TITLES[event].format(model=spec.name, version=f"version {version}" if version else "a version")
    about = f"owner {spec.owner}, risk tier {spec.risk_tier}"
    about += f", as of {as_of:%Y-%m-%d %H:%M} UTC" if as_of else ""
    why, where = tuple(map(redact, reasons)), {name: url for name, url in (links or {}).items() if url}
    return LoopEvent(
        event=event,
        model=spec.name,
        owner=spec.owner,
        risk_tier=spec.risk_tier,
        title=title,
        text="\n".join([title, about, *(f"- {r}" for r in why), *(f"{name}: {url}" for name, url in where.items())]),
        html=_html(title, about, why, where),
        links=where,
        reasons=why,
        as_of=as_of,
        version=version,
        run=run,
    )


def _html(title: str, about: str, reasons: Iterable[str], links: Mapping[str, str]) -> str:
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    anchors = "".join(f'<p><a href="{escape(url)}">{escape(name)}</a></p>' for name, url in links.items())
    return f"<h3>{escape(title)}</h3><p>{escape(about)}</p>{f'<ul>{items}</ul>' if items else ''}{anchors}"
