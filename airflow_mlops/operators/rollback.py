"""Go back to a version that served before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.links import MLflowRunLink, ModelVersionLink
from airflow_mlops.operators._base import LoopOperator

if TYPE_CHECKING:
    from airflow_mlops.core.records.evidence import ServingReport
    from airflow_mlops.core.records.promotion import Rollback
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


class RollbackOperator(LoopOperator):
    """Make `previous`, or a named version that has served, the champion again, after a fresh interpreter served it.

    Returns the :class:`~airflow_mlops.core.records.promotion.Rollback` as JSON and emits the `Model` asset event of its
    outlets. A task that is tried again finds what it did, and does not go back twice.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    reason
        Why, for the audit trail and for those who are told; a template.
    to
        The version to return to, a number or a template of one; None or empty: the version under `previous`.

    Examples
    --------
    >>> back = RollbackOperator(task_id="back", spec="models/flight_delay.yaml", reason="{{ params.why }}")
    >>> back.to is None
    True
    """

    template_fields = ("to", "reason")
    operator_extra_links = (MLflowRunLink(), ModelVersionLink())

    def __init__(self, *, reason: str, to: int | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason
        self.to = to

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Check the target, then move the alias."""
        from airflow_mlops.core.promotion import require_reason

        spec = self.model_spec(context)
        require_reason(self.reason, spec.registered_model)
        with self.records(spec) as records:
            record = self._roll_back(records, spec, context)
            self.version = record.version
            self.version_url = records.version_url(spec.registered_model, record.version)
            self.run_url = records.run_url(record.run_id)
            serves = records.registry.alias(spec.registered_model, "champion")
        if serves != record.version:
            # A cleared task whose own move was made long ago: it is told, and not announced as if it happened now.
            self.log.warning(
                "this task made version %s serve when it was first tried; version %s serves now, and nothing was "
                "changed: to roll back again, trigger a new run",
                record.version,
                serves,
            )
            return record.to_json()
        self.log.info("version %s serves again, instead of %s", record.version, record.displaced)
        self.tell(spec, "rolled_back", context, [f"{record.reason} ({record.by})"], as_of=record.as_of)
        body = record.to_json()
        names = ("model", "version", "run_id", "as_of", "previous_version", "reason")
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {name: body[name] for name in names}
        return body

    def _roll_back(self, records: MLflowStore, spec: ModelSpec, context: Any) -> Rollback:
        from airflow_mlops.core.promotion import nonce_of, rollback
        from airflow_mlops.core.records.ownership import SpecIdentity

        ti, model, to = context["ti"], spec.registered_model, self._wanted()
        request = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"
        # What an earlier try began is finished, and its target was checked; another `previous` stands by now.
        begun = any(event.nonce == nonce_of(request) for event in records.trail.events(model))
        serving = None if begun else self._served(records, spec, to)
        return rollback(
            records.registry,
            records.trail,
            registered_model=model,
            by=self.actor(context),
            reason=self.reason,
            now=datetime.now(UTC),
            to=to,
            serving=serving,
            request=request,
            specification=SpecIdentity.of(spec),
            people=self.people(context),
        )

    def _wanted(self) -> int | None:
        """Return the version that was asked for.

        Raises
        ------
        RecordError
            VERSION_MISSING, if it is no number.
        """
        from airflow_mlops.core.promotion import move_refused
        from airflow_mlops.spec.problems import ReasonCode

        text = "" if self.to is None else str(self.to).strip()
        if text in ("", "None"):
            return None
        if not text.isdecimal():
            allowed = "the number of a registered version, or nothing for the previous one"
            raise move_refused(ReasonCode.VERSION_MISSING, "to", repr(text), allowed, "give its number")
        return int(text)

    def _served(self, records: MLflowStore, spec: ModelSpec, to: int | None) -> ServingReport | None:
        """Serve the target in a fresh interpreter, within the bounds of `gate.serving`, as its mode says."""
        from airflow_mlops.core.errors import RecordError
        from airflow_mlops.core.gate import require_serving
        from airflow_mlops.core.promotion import rollback_target
        from airflow_mlops.core.records.ownership import SpecIdentity
        from airflow_mlops.stores.serving_check.check import check_serving

        target = rollback_target(
            records.registry,
            records.trail,
            registered_model=spec.registered_model,
            to=to,
            specification=SpecIdentity.of(spec),
        )
        if spec.gate.serving.mode == "off":
            self.log.warning("version %s was not tried in a fresh interpreter: gate.serving is off", target.version)
            return None
        report = check_serving(records, target.candidate, spec)
        try:
            require_serving(report, spec.gate.serving, f"{target.model} version {target.version}")
        except RecordError as refusal:
            if spec.gate.serving.mode == "enforce":
                raise
            self.log.warning("%s\n  this would be refused, were the mode of gate.serving not dry_run", refusal)
            return None
        return report
