"""The attempts of a loop run in MLflow: whether it may be judged anew, and the run that the attempt is recorded in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_mlops.core.ports import AuditTrail
from airflow_mlops.core.promotion import fold, registered_by, require_new_attempt
from airflow_mlops.core.records.attempt import LoopVersion, judged_run
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.stores.mlflow.registry import MLflowRegistry
from airflow_mlops.stores.mlflow.runs import REFIT_OF, MLflowRuns


class MLflowAttempts:
    """Opens the MLflow run of an attempt, after the registry was asked what the loop run has made already."""

    def __init__(self, runs: MLflowRuns, registry: MLflowRegistry, trail: AuditTrail) -> None:
        self._runs, self._registry, self._trail = runs, registry, trail

    def open_attempt(self, spec: ModelSpec, loop_run: str, *, inputs: str, tags: Mapping[str, str]) -> str:
        """Find the MLflow run of a loop run and of these inputs, or make it.

        Parameters
        ----------
        loop_run
            ``<dag_id>/<run_id>``, of a refit with ``/refit`` behind it.
        inputs
            Fingerprints of snapshot and specification.
        tags
            Who asks. Those of a refit name what was judged.

        Returns
        -------
        str
            The run's id.

        Raises
        ------
        RecordError
            VERSION_SERVED: a version of the loop run has served, and was made from other inputs. RECORD_CONFLICT: a
            version was made from these inputs, and its MLflow run is deleted.
        """
        model = spec.registered_model
        versions = self._registry.loop_versions(model, judged_run(loop_run) if REFIT_OF in tags else loop_run)
        if versions:
            state = fold(self._trail.events(model))
            require_new_attempt(self._registry, state, versions, model=model, loop_run=loop_run, inputs=inputs)
            self._require_live(versions, model, loop_run, inputs)
        return self._runs.open_run(spec.experiment, loop_run, model=spec.name, inputs=inputs, tags=tags)

    def _require_live(self, versions: Iterable[LoopVersion], model: str, loop_run: str, inputs: str) -> None:
        """Refuse to train again what stands in the registry, and whose run somebody deleted."""
        for one in versions:
            if (one.loop_run, one.inputs) == (loop_run, inputs) and not self._runs.is_live(one.run_id):
                raise registered_by(one, model, loop_run, f"MLflow run {one.run_id}, which is deleted")
