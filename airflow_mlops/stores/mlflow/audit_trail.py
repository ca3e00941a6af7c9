"""The audit trail in MLflow: a numbered log of each registered model, whose entries are written once.

The parameter `event.000007` is the seventh event, as JSON; :mod:`airflow_mlops.stores.mlflow.numbered_log` says which
run it is a parameter of. The registered model names that run too, by a tag: a trail that was deleted, or a registered
model that was deleted and made again, is found out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion import broken_trail, require_whole
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.client import GuardedClient
from airflow_mlops.stores.mlflow.numbered_log import LONGEST, LogKind, NumberedLog
from airflow_mlops.stores.mlflow.queries import all_pages, find_registered_model
from airflow_mlops.stores.mlflow.registry import MLflowRegistry
from airflow_mlops.stores.mlflow.seals import SealKeys
from airflow_mlops.stores.mlflow.trail_heads import TrailHeads

TRAIL = "mlops.trail"
"""Tag of the registered model and of its audit experiment: the run of the trail."""
TRAIL_OF = "mlops.trail_of"
"""Tag of that run and of that experiment: the registered model."""
RUNS = "mlops audit"
"""The experiment in which the runs of all trails are."""
_BACKUP = "restore the tracking database from a backup"
AUDIT = LogKind(
    title="audit trail",
    noun="trail",
    experiment="mlops audit: ",
    runs=RUNS,
    run_tag=TRAIL,
    model_tag=TRAIL_OF,
    entry="event",
    resumes=True,
    problem=broken_trail,
    restore="restore it (mlflow experiments restore, or restore the run), or the database from a backup",
    repair=_BACKUP,
    retry=_BACKUP,
)


class MLflowAuditTrail:
    """Audit trails; implements :class:`airflow_mlops.core.ports.AuditTrail`."""

    def __init__(self, client: GuardedClient, registry: MLflowRegistry, heads: TrailHeads | None = None) -> None:
        self._client, self._registry = client, registry
        self.heads = heads or TrailHeads(client, SealKeys(), None)
        self._log = NumberedLog(client, AUDIT, find=self._find)

    def events(self, model: str) -> tuple[AuditEvent, ...]:
        """Return every event of a registered model, oldest first; none if nothing ever happened to it.

        Raises
        ------
        RecordError
            AUDIT_BROKEN, if the trail is deleted, or not whole, or its last events were cut off.
        """
        known = self.heads.known(model)
        run_id = self._log.run_of(model)
        events = () if run_id is None else self._whole(model, self._log.read(model, run_id))
        self.heads.require(model, events, known)
        return events

    def append(self, model: str, event: AuditEvent) -> bool:
        """Write an event at its number; False when another event stands there.

        Raises
        ------
        RecordError
            AUDIT_BROKEN, if the trail is deleted; NO_CHAMPION, if there is no such registered model.
        """
        text = json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":"))
        if len(text) > LONGEST:  # before a trail is made for it
            raise RecordError(broken_trail(f"an event of {len(text)} characters", "say it shorter"))

        def is_same(parameters: Mapping[str, str]) -> bool | None:
            standing = {other.number: other for other in self._whole(model, parameters)}.get(event.number)
            return None if standing is None else standing == event

        run_id = self._log.run_of(model) or self._make_trail(model)
        first = event.number == 1
        if first:
            self.heads.begin(model)
        written = self._log.write_once(model, run_id, self._log.name_of(event.number), text, is_same=is_same)
        if written or first:  # who began in vain may have put the head of the winner back to none
            self.heads.keep(model, lambda: self._whole(model, self._log.read(model, run_id)))
        return written

    def registered_models(self) -> tuple[str, ...]:
        """Return the names of the registered models that have a trail, in order: also of those whose trail is deleted.

        They are found by the trails' experiments and by the models' own tags, so that neither can vanish unseen.
        """
        from mlflow.entities import ViewType

        homes = f"name LIKE '{AUDIT.experiment}%'"
        trails = all_pages(self._client.search_experiments, view_type=ViewType.ALL, filter_string=homes)
        models = all_pages(self._client.search_registered_models, filter_string=f"tags.`{TRAIL}` LIKE '%'")
        names = {str(found.name).removeprefix(AUDIT.experiment) for found in trails} | {found.name for found in models}
        return tuple(sorted(names))

    def trail_run(self, model: str) -> str | None:
        """Return the run whose parameters are a model's trail; None when it has none."""
        return self._log.run_of(model)

    # -----------------------------------------------------------------------------------------------------------------

    def _find(self, model: str) -> str | None:
        """The run that the trail's experiment names, which must be the one that the registered model names."""
        experiment = self._log.find_experiment(model)
        registered = find_registered_model(self._client, model)
        named = None if registered is None else registered.tags.get(TRAIL)
        if experiment is None:
            if named is not None:
                missing = f"no experiment '{AUDIT.experiment}{model}', which held it: it was deleted for good"
                raise AUDIT.broken(model, missing)
            return None
        run_id = self._log.run_named_by(experiment, model)
        if named not in (run_id, None):
            raise AUDIT.broken(
                model, f"a registered model that names run {named} and an experiment that names {run_id}"
            )
        if named is None and registered is not None:
            self._name_in_registry(model, run_id)
        return run_id

    def _name_in_registry(self, model: str, run_id: str) -> None:
        """Tag the registered model with its trail: only while that is empty, the tag may be missing."""
        events = self._whole(model, self._log.read(model, run_id))
        if events and self._registry.model_tags(model).get(TRAIL) != run_id:
            # Asked again after reading: the tag is set before the first event is written.
            raise AUDIT.broken(
                model,
                f"a registered model without the tag {TRAIL}, and a trail with events: the model was deleted and made "
                "again, so version numbers mean something else now",
                f"register under another name; or, if only the tag was removed, set it to {run_id}",
            )
        self._registry.tag_model(model, {TRAIL: run_id})

    def _make_trail(self, model: str) -> str:
        if find_registered_model(self._client, model) is None:
            raise _no_model(model)
        return self._log.make_run(model)  # looks for what stands afterwards, and so tags the registered model

    def _whole(self, model: str, parameters: Mapping[str, str]) -> tuple[AuditEvent, ...]:
        """The events of a trail, each at its number and chained to the one before."""
        events = []
        for number, text in self._log.numbered(parameters).items():
            try:
                event = AuditEvent.from_json(text)
            except RecordError as error:
                raise AUDIT.broken(model, f"event {number}, which cannot be read: {error}") from error
            if event.number != number:
                raise AUDIT.broken(model, f"event {event.number} in the place of event {number}")
            events.append(event)
        require_whole(events, model)
        return tuple(events)


def _no_model(model: str) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.NO_CHAMPION,
            field=model,
            found=f"no registered model {model}",
            allowed="a model that the loop registered",
            fix="let a loop run register its first version",
        )
    )
