"""The experiments of specifications: found or made, each with one owner.

The tag `mlops.owner` says whose an experiment is; it is set in the request that makes it. An experiment from before
such tags is adopted by the first who uses it, unless its runs are all of another specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.core.promotion import settle_claim
from airflow_mlops.core.records.ownership import OWNER_TAG, Claim, SpecIdentity
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
            asker = Claim(holder=SpecIdentity.of(self._spec), registered_model=self._spec.registered_model)
            experiment_id = open_experiment(self._client, name, {OWNER_TAG: asker.to_text()})
            self._claim(name, experiment_id, asker)
            self._known[name] = experiment_id
        return self._known[name]

    # -----------------------------------------------------------------------------------------------------------------

    def _claim(self, name: str, experiment_id: str, asker: Claim) -> None:
        what = f"MLflow experiment '{name}'"
        text = self._client.get_experiment(experiment_id).tags.get(OWNER_TAG)
        if text:
            standing: Claim | None = Claim.from_text(text, where=f"{what}, tag {OWNER_TAG}")
        else:
            standing = self._only_user(experiment_id, asker)
        settled = settle_claim(self._registry, self._trail, standing, asker, what=what, field="tracking.experiment")
        if text != settled.to_text():
            self._client.set_experiment_tag(experiment_id, OWNER_TAG, settled.to_text())

    def _only_user(self, experiment_id: str, asker: Claim) -> Claim | None:
        """Whose runs an experiment from before holds; None when it holds none of the loop's, or the asker's too."""
        if self._runs(experiment_id, f"tags.`{MODEL}` = {quoted(asker.holder.name)}"):
            return None
        others = self._runs(experiment_id, f"tags.`{MODEL}` LIKE '%'")
        if not others:
            return None
        holder = SpecIdentity(name=str(others[0].data.tags[MODEL]))
        return Claim(holder=holder, registered_model=asker.registered_model)

    def _runs(self, experiment_id: str, query: str) -> list[Any]:
        return list(self._client.search_runs([experiment_id], query, max_results=1))
