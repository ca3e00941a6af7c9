"""What became of a model's training runs: told by the runs, by what served, and by who claimed a decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from airflow_mlops.core.ports import AuditTrail, RetrainLog
from airflow_mlops.core.promotion import fold
from airflow_mlops.core.records.attempt import LOOP_RUN, SUPERSEDED_BY
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.retraining import Challenge
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.experiments import MODEL
from airflow_mlops.stores.mlflow.runs import REFIT_OF

_AS_OF, _VERDICT, _APPROVAL = "mlops.as_of", "mlops.verdict", "mlops.approval"
_NO_CHALLENGE = frozenset({REFIT_OF, SUPERSEDED_BY})
"""Tags of runs that are no challenge of their own: a loop run that was judged anew is one challenge, the last."""
_PAGE = 100
_NAMED = 50
"""So many runs are named in one question, which is a URL: servers and proxies refuse long ones."""


class MLflowChallenges:
    """Challenges of a champion, as MLflow tells them."""

    def __init__(self, client: GuardedClient, trail: AuditTrail, retraining_log: RetrainLog) -> None:
        self._client, self._trail, self._log = client, trail, retraining_log

    def newest(
        self, experiment: str, model: str, limit: int = 20, *, registered_model: str = ""
    ) -> tuple[Challenge, ...]:
        """Return what became of a model's newest training runs, of whichever cause, newest as-of first.

        Parameters
        ----------
        registered_model
            Name in the registry, where it is another one than the model's. Promoted is what has served, by its trail.
        """
        found = self._client.get_experiment_by_name(experiment)
        every = [] if found is None else list(self._trainings(found.experiment_id, model, limit))
        runs = [run for run in every if not _NO_CHALLENGE & set(run.data.tags)]
        refits = {run.data.tags[REFIT_OF]: str(run.info.run_id) for run in every if REFIT_OF in run.data.tags}
        served = self._served(registered_model or model, [run.info.run_id for run in every])
        held: dict[str, list[str]] = {}
        for key, loop_run in self._log.claims(model).items():
            held.setdefault(loop_run, []).append(key)
        found_challenges = []
        for run in runs:
            by_run = {run.info.run_id, refits.get(run.info.run_id)}
            answers = held.get(run.data.tags[LOOP_RUN], ())
            found_challenges.append(_challenge(run, promoted=bool(by_run & served), answers=answers))
        return tuple(found_challenges)

    def _trainings(self, experiment_id: str, model: str, limit: int) -> Iterator[Any]:
        """Runs of the loop that began to train: an as-of is told when the training is recorded.

        The run of a refit is no training of its own and does not count; it began later than that of what was judged, so
        it comes before it.
        """
        query = f"tags.`{MODEL}` = {quoted(model)} and tags.`{LOOP_RUN}` LIKE '%' and tags.`{_AS_OF}` LIKE '%'"
        order = [f"tags.`{_AS_OF}` DESC", "attributes.start_time DESC"]
        token = None
        while limit > 0:
            page = self._client.search_runs(
                [experiment_id], query, order_by=order, max_results=min(limit, _PAGE), page_token=token
            )
            yield from page
            limit -= sum(not _NO_CHALLENGE & set(run.data.tags) for run in page)
            token = page.token
            if not token:
                return

    def _served(self, registered_model: str, runs: Sequence[str]) -> frozenset[str]:
        """Of these runs, those whose version has been champion."""
        served = fold(self._trail.events(registered_model)).served if runs else frozenset()
        found: set[str] = set()
        for first in range(0, len(runs) if served else 0, _NAMED):
            wanted = ", ".join(quoted(run_id) for run_id in runs[first : first + _NAMED])
            query = f"name = {quoted(registered_model)} and run_id IN ({wanted})"
            versions = self._client.search_model_versions(query, max_results=1000)
            found |= {str(version.run_id) for version in versions if int(version.version) in served}
        return frozenset(found)


def _challenge(run: Any, *, promoted: bool, answers: Iterable[str]) -> Challenge:
    verdict = run.data.tags.get(_VERDICT)
    return Challenge(
        as_of=datetime.fromisoformat(run.data.tags[_AS_OF]),
        run_id=str(run.info.run_id),
        verdict=Verdict(verdict) if verdict else None,
        promoted=promoted,
        declined=run.data.tags.get(_APPROVAL) in ("declined", "timed_out"),
        answers=tuple(answers),
    )
