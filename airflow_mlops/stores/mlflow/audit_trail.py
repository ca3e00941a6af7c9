"""The audit trail in MLflow: numbered, write-once parameters of one run for each registered model.

A parameter is the one thing in MLflow that can be written once only: the database has one row for a run and a key, and
refuses a second writer with another value. The parameter `event.000007` is the seventh event, as JSON.

There must be one such run. Names of experiments are unique in the database, so the experiment `mlops audit: <model>`,
made in one request with a tag that names the run, decides which run it is. The registered model names it too, by a tag:
a trail that was deleted, or a registered model that was deleted and made again, is found out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion import broken_trail, require_whole
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import is_missing, is_taken
from airflow_mlops.stores.mlflow.registry import MLflowVersions

TRAIL = "mlops.trail"
"""Tag of the registered model and of its audit experiment: the run of the trail."""
TRAIL_OF = "mlops.trail_of"
"""Tag of that run and of that experiment: the registered model."""
RUNS = "mlops audit"
"""The experiment in which the runs of all trails are."""
_EXPERIMENT = "mlops audit: "
_EVENT = re.compile(r"event\.(\d{6,})")
_LONGEST = 6000
"""MLflow cuts a parameter's value there, without a word."""
_RESTORE = "restore it (mlflow experiments restore, or restore the run), or the database from a backup"


class MLflowTrail(MLflowVersions):
    """Audit trails; implements :class:`airflow_mlops.core.ports.Trail`."""

    def __init__(self, client: GuardedClient) -> None:
        super().__init__(client)
        self._trails: dict[str, str] = {}

    def events(self, model: str) -> tuple[AuditEvent, ...]:
        """Return every event of a registered model, oldest first; none if nothing ever happened to it.

        Raises
        ------
        RecordError
            AUDIT_BROKEN, if the trail is deleted, or not whole.
        """
        run_id = self._trail(model)
        return () if run_id is None else self._read(model, run_id)

    def append(self, model: str, event: AuditEvent) -> bool:
        """Write an event at its number; False when another event stands there.

        Raises
        ------
        RecordError
            AUDIT_BROKEN, if the trail is deleted; NO_CHAMPION, if there is no such registered model.
        """
        from mlflow.exceptions import MlflowException

        text = json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":"))
        if len(text) > _LONGEST:
            raise RecordError(broken_trail(f"an event of {len(text)} characters", "say it shorter"))
        run_id = self._trail(model) or self._new_trail(model)
        key = f"event.{event.number:06d}"
        try:
            self._client.log_param(run_id, key, text)
        except MlflowException:
            # Refused: because something stands there, or because the run is deleted. What stands there decides.
            standing = {other.number: other for other in self._read(model, run_id)}.get(event.number)
            if standing is None:
                raise
            return standing == event
        return True

    def registered_models(self) -> tuple[str, ...]:
        """Return the names of the registered models that have a trail, in order: also of those whose trail is deleted.

        They are found by the trails' experiments and by the models' own tags, so that neither can vanish unseen.
        """
        from mlflow.entities import ViewType

        homes = f"name LIKE '{_EXPERIMENT}%'"
        trails = _pages(self._client.search_experiments, view_type=ViewType.ALL, filter_string=homes)
        models = _pages(self._client.search_registered_models, filter_string=f"tags.`{TRAIL}` LIKE '%'")
        names = {str(found.name).removeprefix(_EXPERIMENT) for found in trails} | {found.name for found in models}
        return tuple(sorted(names))

    def trail_run(self, model: str) -> str | None:
        """Return the run whose parameters are a model's trail; None when it has none."""
        return self._trail(model)

    # -----------------------------------------------------------------------------------------------------------------

    def _trail(self, model: str) -> str | None:
        """The run of a model's trail; None when it has none yet. A store looks for it once."""
        if model not in self._trails and (found := self._find_trail(model)) is not None:
            self._trails[model] = found
        return self._trails.get(model)

    def _find_trail(self, model: str) -> str | None:
        experiment = self._client.get_experiment_by_name(f"{_EXPERIMENT}{model}")
        registered = self._registered(model)
        named = None if registered is None else registered.tags.get(TRAIL)
        if experiment is None:
            if named is not None:
                raise _broken(model, f"no experiment '{_EXPERIMENT}{model}', which held it: it was deleted for good")
            return None
        if experiment.lifecycle_stage != "active":
            raise _broken(model, f"a deleted experiment '{experiment.name}'", _RESTORE)
        run_id = experiment.tags.get(TRAIL)
        if run_id is None or experiment.tags.get(TRAIL_OF) != model:
            raise _broken(model, f"an experiment '{experiment.name}' that does not name its run: its tags were changed")
        if named not in (run_id, None):
            raise _broken(model, f"a registered model that names run {named} and an experiment that names {run_id}")
        if named is None and registered is not None:
            self._claim(model, str(run_id))
        return str(run_id)

    def _claim(self, model: str, run_id: str) -> None:
        """Tag the registered model with its trail: only while that is empty, the tag may be missing."""
        if self._read(model, run_id) and self.model_tags(model).get(TRAIL) != run_id:
            # Asked again after reading: the tag is set before the first event is written.
            raise _broken(
                model,
                f"a registered model without the tag {TRAIL}, and a trail with events: the model was deleted and made "
                "again, so version numbers mean something else now",
                f"register under another name; or, if only the tag was removed, set it to {run_id}",
            )
        self.tag_model(model, {TRAIL: run_id})

    def _new_trail(self, model: str) -> str:
        from mlflow.exceptions import MlflowException

        if self._registered(model) is None:
            raise _no_model(model)
        home = self._experiment(RUNS)
        query = f"tags.`{TRAIL_OF}` = {quoted(model)}"
        left = self._client.search_runs([home], query, order_by=["attributes.start_time ASC"])  # by one that was killed
        run = next((run for run in left if run.data.tags.get(TRAIL_OF) == model), None)
        if run is None:
            run = self._client.create_run(home, tags={TRAIL_OF: model}, run_name=model)
        run_id = str(run.info.run_id)
        tags = {
            TRAIL: run_id,
            TRAIL_OF: model,
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.note.content": f"The audit trail of {model}: parameters of run {run_id} in '{RUNS}'.",
        }
        try:
            self._client.create_experiment(f"{_EXPERIMENT}{model}", tags=tags)
        except MlflowException as error:
            if not is_taken(error):
                raise
        standing = self._trail(model)  # also tags the registered model
        if standing is None:
            raise _broken(model, "a trail that vanished while it was made")
        if standing != run_id:
            self._client.delete_run(run_id)
        return standing

    def _read(self, model: str, run_id: str) -> tuple[AuditEvent, ...]:
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if not is_missing(error):
                raise
            raise _broken(model, f"no run {run_id}, which held it: it was deleted for good") from error
        if run.info.lifecycle_stage != "active":
            raise _broken(model, f"a deleted run {run_id}", _RESTORE)
        if run.data.tags.get(TRAIL_OF) != model:
            raise _broken(model, f"run {run_id}, which is not marked as its trail")
        events = _parsed(model, run.data.params)
        require_whole(events, model)
        return events


def _pages(search: Callable[..., Any], **wanted: Any) -> Iterator[Any]:
    """Yield everything that a search finds, page after page."""
    token = None
    while True:
        page = search(**wanted, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _parsed(model: str, params: Mapping[str, Any]) -> tuple[AuditEvent, ...]:
    numbered = {int(match[1]): text for key, text in params.items() if (match := _EVENT.fullmatch(key))}
    events = []
    for number in sorted(numbered):
        try:
            event = AuditEvent.from_json(numbered[number])
        except RecordError as error:
            raise _broken(model, f"event {number}, which cannot be read: {error}") from error
        if event.number != number:
            raise _broken(model, f"event {event.number} in the place of event {number}")
        events.append(event)
    return tuple(events)


def _broken(model: str, found: str, fix: str = "restore the tracking database from a backup") -> RecordError:
    return RecordError(broken_trail(found, fix), subject=f"audit trail of {model}")


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
