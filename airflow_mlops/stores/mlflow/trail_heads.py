"""The head of each audit trail, kept in two other places: a tag of the registered model, and a file in the storage.

A chain shows that an event was changed or taken out of its middle; of its last events nothing says that there were any.
So number and digest of the newest event are written down twice after it: in MLflow, and as a witness where who may
write to MLflow may not. The event comes first: killed before its head was kept, the trail is longer than its heads say,
which is no fault, and the next event puts it right. A trail that does not reach a head, or holds another event in its
place, was cut off or written anew. Before the first event, a head of none is kept.

Format 1: JSON with `number`, `digest` and `seal`, a seal of both (:mod:`airflow_mlops.stores.mlflow.seals`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.promotion import broken_trail
from airflow_mlops.core.records.json_text import read_json
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.stores.mlflow.client import GuardedClient
from airflow_mlops.stores.mlflow.queries import find_registered_model
from airflow_mlops.stores.mlflow.seals import Flaw, SealKeys

HEAD = "mlops.trail_head"
"""Tag of the registered model."""
_TRIES = 200


@dataclass(frozen=True)
class TrailHead:
    """The newest event that a place knows."""

    number: int
    digest: str
    seal: str

    @classmethod
    def of(cls, events: Sequence[AuditEvent], model: str, keys: SealKeys) -> TrailHead:
        """Return the head of a trail, sealed."""
        number, digest = len(events), events[-1].digest if events else ""
        return cls(number, digest, keys.seal(_place(model), f"{number}:{digest}"))

    def to_text(self) -> str:
        """Return it as it is kept."""
        return json.dumps({"format": 1, "number": self.number, "digest": self.digest, "seal": self.seal})


class TrailHeads:
    """Reads and keeps heads.

    Parameters
    ----------
    client
        See :func:`airflow_mlops.stores.mlflow.client.connect`.
    keys
        Of the seals.
    witness
        Opens the storage; None: the registered model alone keeps heads.
    """

    def __init__(self, client: GuardedClient, keys: SealKeys, witness: Callable[[], Storage] | None) -> None:
        self._client, self._keys, self._open = client, keys, witness
        self._storage: Storage | None = None
        self._seen: dict[str, tuple[int, str]] = {}

    def known(self, model: str) -> Mapping[str, tuple[int, str]]:
        """Return number and digest of the events that a trail must hold, by who knows them.

        Asked before the trail is read: what is written meanwhile is in the trail, and not yet here. Where the places
        were read once, it is enough that what was seen then is still there.

        Raises
        ------
        RecordError
            AUDIT_BROKEN, if a head is not what was sealed; SEAL_REFUSED, if nobody here can tell.
        StoreUnavailableError
            If a place does not answer.
        """
        if model in self._seen:
            return {"this process": self._seen[model]}
        return {where: (head.number, head.digest) for where, head in self.kept(model).items()}

    def require(self, model: str, events: Sequence[AuditEvent], known: Mapping[str, tuple[int, str]]) -> None:
        """Refuse a trail that does not hold what is known of it.

        Raises
        ------
        RecordError
            AUDIT_BROKEN; SEAL_REFUSED, if nothing is known of it where there is a key.
        """
        if events and not known and not self._keys.accept_unkeyed:
            raise Flaw(words="no head of the trail, while [mlops] seal_secret gives a key").refusal(_place(model))
        for where, head in known.items():
            _require_reached(model, events, head, where)
        self._seen[model] = (len(events), events[-1].digest) if events else (0, "")

    def keep(self, model: str, read: Callable[[], Sequence[AuditEvent]]) -> None:
        """Keep the head of a trail, until it stands still: who writes last has also read what stands."""
        for _ in range(_TRIES):
            events = read()
            text = TrailHead.of(events, model, self._keys).to_text()
            storage = self._witness()
            if storage is not None:
                storage.write_text(_path(model), text)
            self._client.set_registered_model_tag(model, HEAD, text)
            if len(read()) == len(events):
                return

    def begin(self, model: str) -> None:
        """Keep a head of no event, before the first one is written: with a key, a trail without a head is refused."""
        if not self.kept(model):
            self.keep(model, tuple)

    def kept(self, model: str) -> Mapping[str, TrailHead]:
        """Return the heads that are kept of a trail, by where they stand in words.

        Raises
        ------
        RecordError
            AUDIT_BROKEN, if one is not what was sealed; SEAL_REFUSED.
        """
        found = {where: text for where, text in self._texts(model).items() if text is not None}
        return {where: self._read(model, where, text) for where, text in found.items()}

    def notes(self, model: str, events: Sequence[AuditEvent]) -> tuple[str, ...]:
        """Say what is no fault, and weakens the proof: places that keep no head, or an older one, or a plain seal."""
        said = []
        for where, text in self._texts(model).items():
            if text is None:
                said.append(f"{where} keeps no head of the trail; the next event is kept there, or airflow mlops seal")
                continue
            head = self._read(model, where, text)
            if head.number < len(events):
                said.append(f"{where} knows event {head.number} of {len(events)}; airflow mlops seal keeps the newest")
            if not self._keys.is_current(head.seal):
                said.append(f"{where} has a head whose seal is not of the newest key; airflow mlops seal renews it")
        return tuple(said)

    # -----------------------------------------------------------------------------------------------------------------

    def _texts(self, model: str) -> dict[str, str | None]:
        registered: Any = find_registered_model(self._client, model)
        found = {f"the tag {HEAD} of the registered model": None if registered is None else registered.tags.get(HEAD)}
        storage = self._witness()
        if storage is not None:
            path = _path(model)
            found[f"the witness {storage.uri(path)}"] = storage.read_text(path) if storage.exists(path) else None
        return found

    def _read(self, model: str, where: str, text: str) -> TrailHead:
        try:
            body = read_json(text)
            head = TrailHead(number=_number(body["number"]), digest=str(body["digest"]), seal=str(body["seal"]))
        except (ValueError, KeyError, TypeError) as error:
            raise _broken(model, f"{where}, which cannot be read") from error
        flaw = self._keys.flaw(_place(model), f"{head.number}:{head.digest}", head.seal)
        if flaw is None:
            return head
        raise _broken(model, f"{where}, which is not what was sealed") if flaw.altered else flaw.refusal(where)

    def _witness(self) -> Storage | None:
        if self._storage is None and self._open is not None:
            self._storage = self._open()
        return self._storage


def _number(value: object) -> int:
    """Return the number of an event; below zero it would count from the trail's end."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of events")
    return value


def _require_reached(model: str, events: Sequence[AuditEvent], head: tuple[int, str], where: str) -> None:
    number, digest = head
    if number > len(events):
        raise _broken(model, f"{len(events)} events, where {where} knows event {number}: the last ones were cut off")
    if number and events[number - 1].digest != digest:
        raise _broken(model, f"another event {number} than {where} knows: the trail was written anew")


def _broken(model: str, found: str) -> RecordError:
    fix = (
        "find out who changed it; restore the tracking database from a backup no older than that event. After a "
        "restore that lost events for good, docs/operating.md says how to go on"
    )
    return RecordError(broken_trail(found, fix), subject=f"audit trail of {model}")


def _place(model: str) -> str:
    return f"trail of {model}"


def _path(model: str) -> str:
    return f"audit/{quote(model, safe='')}.json"
