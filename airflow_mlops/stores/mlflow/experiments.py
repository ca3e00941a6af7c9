"""The experiments of specifications: found or made, each with one owner.

The tag `mlops.owner` says whose an experiment is; it is set in the request that makes it. An experiment from before
such tags is adopted by the first who uses it, unless its runs are all of another specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.core.promotion import may_follow
from airflow_mlops.core.records.ownership import OWNER_TAG, SpecIdentity, handover_fix, owned_by_another
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.queries import open_experiment

if TYPE_CHECKING:
    from airflow_mlops.core.ports import AuditTrail, Registry
    from airflow_mlops.spec.model import ModelSpec

MODEL = "mlops.model"
"""Tag of a run: the specification that it is of."""


class MLflowExperiments:
    """Experiments as one specification sees them.

    Parameters
    ----------
    client
        See :func:`airflow_mlops.stores.mlflow.client.connect`.
    spec
        Whose experiments are opened; None: of whoever asks, and nobody is refused.
    """

    def __init__(self, client: GuardedClient, spec: ModelSpec | None) -> None:
        self._client, self._spec = client, spec
        self._known: dict[str, str] = {}

    def follow(self, registry: Registry, trail: AuditTrail) -> None:
        """Say where it stands which models were handed over."""
        self._registry, self._trail = registry, trail

    def open(self, name: str) -> str:
        """Find an experiment by its name, or make it; return its id.

        Raises
        ------
        RecordError
            OWNED_BY_ANOTHER, if it is another specification's; RECORD_CONFLICT, if it is deleted.
        """
        if self._spec is None:
            return open_experiment(self._client, name)
        if name not in self._known:
            asker = SpecIdentity.of(self._spec)
            experiment_id = open_experiment(self._client, name, {OWNER_TAG: asker.to_text()})
            self._require_owner(name, experiment_id, asker, self._spec)
            self._known[name] = experiment_id
        return self._known[name]

    # -----------------------------------------------------------------------------------------------------------------

    def _require_owner(self, name: str, experiment_id: str, asker: SpecIdentity, spec: ModelSpec) -> None:
        holder = self._tagged(name, experiment_id) or self._only_user(experiment_id, asker)
        model = spec.registered_model
        if holder is not None and not holder.is_same(asker):
            if not may_follow(self._registry, self._trail, registered_model=model, holder=holder, to=asker):
                fix = handover_fix(model, asker, "tracking.experiment")
                raise owned_by_another(f"MLflow experiment '{name}'", holder, asker, fix=fix)
            holder = None
        if holder is None:
            self._client.set_experiment_tag(experiment_id, OWNER_TAG, asker.to_text())

    def _tagged(self, name: str, experiment_id: str) -> SpecIdentity | None:
        text = self._client.get_experiment(experiment_id).tags.get(OWNER_TAG)
        return SpecIdentity.from_text(text, where=f"MLflow experiment '{name}', tag {OWNER_TAG}") if text else None

    def _only_user(self, experiment_id: str, asker: SpecIdentity) -> SpecIdentity | None:
        """Whose runs an experiment from before holds; None when it holds none of the loop's, or the asker's too."""
        if self._runs(experiment_id, f"tags.`{MODEL}` = {quoted(asker.name)}"):
            return None
        others = self._runs(experiment_id, f"tags.`{MODEL}` LIKE '%'")
        return SpecIdentity(name=str(others[0].data.tags[MODEL])) if others else None

    def _runs(self, experiment_id: str, query: str) -> list[Any]:
        return list(self._client.search_runs([experiment_id], query, max_results=1))
