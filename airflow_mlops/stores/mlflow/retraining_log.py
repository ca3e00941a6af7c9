"""Decisions to retrain in MLflow: numbered, write-once parameters of one run for each model, and who trains on which.

As the audit trail (:mod:`airflow_mlops.stores.mlflow.audit_trail`): a parameter can be written once only, so that of
several who write the parameter `decision.000007`, on any machine, one succeeds. A claim is the parameter `claim.<digest
of the decision's key>`. Which run it is, the experiment `mlops retraining: <model>` says, whose name is unique in the
database. docs/decisions/0010 says why it is not Airflow's asset state.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion import fold
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.retraining import Challenge, RetrainDecision, as_line
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.audit_trail import MLflowTrail
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import is_missing, is_taken
from airflow_mlops.stores.mlflow.runs import LOOP_RUN, MODEL

LOG = "mlops.retraining_log"
"""Tag of the model's experiment: the run of the log."""
LOG_OF = "mlops.retraining_log_of"
"""Tag of that run and of that experiment: the model."""
RUNS = "mlops retraining"
"""The experiment in which the runs of all logs are."""
_EXPERIMENT = "mlops retraining: "
_DECISION = re.compile(r"decision\.(\d{6,})")
_CLAIM = "claim."
_LONGEST = 6000
"""MLflow cuts a parameter's value there, without a word."""
_AS_OF, _VERDICT, _APPROVAL = "mlops.as_of", "mlops.verdict", "mlops.approval"
_PAGE = 100
_NAMED = 50
"""So many runs are named in one question, which is a URL: servers and proxies refuse long ones."""


class MLflowRetraining(MLflowTrail):
    """Logs of decisions; implements :class:`airflow_mlops.core.ports.RetrainLog`."""

    def __init__(self, client: GuardedClient) -> None:
        super().__init__(client)
        self._logs: dict[str, str] = {}

    def decisions(self, model: str) -> tuple[RetrainDecision, ...]:
        """Return every logged decision of a model, oldest first.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if the log is deleted, or not whole: without it, nobody knows what was decided.
        """
        run_id = self._log(model)
        return () if run_id is None else _parsed(model, self._params(model, run_id))

    def log_decision(self, model: str, decision: RetrainDecision) -> bool:
        """Write a decision at its number; False when another one stands there.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if it has no number, is too long, or the log is deleted.
        """
        if decision.number is None or decision.number < 1:
            raise _broken(model, "a decision without a number", "give it the next one")
        text = as_line(decision)
        run_id = self._log(model) or self._new_log(model)
        if self._write_once(model, run_id, f"decision.{decision.number:06d}", text):
            return True
        standing = _parsed(model, self._params(model, run_id))
        return any(one.number == decision.number and one.digest == decision.digest for one in standing)

    def claim(self, model: str, key: str, loop_run: str) -> str:
        """Claim a decision for a training run, once; return the loop run that holds it, this one or an earlier."""
        run_id = self._log(model) or self._new_log(model)
        name = _CLAIM + hashlib.sha256(key.encode()).hexdigest()[:40]
        text = json.dumps({"key": key, "loop_run": loop_run}, ensure_ascii=False, separators=(",", ":"))
        if self._write_once(model, run_id, name, text):
            return loop_run
        return _holder(model, self._params(model, run_id)[name])[1]

    def claims(self, model: str) -> Mapping[str, str]:
        """Return who holds what: the loop run, by key."""
        run_id = self._log(model)
        if run_id is None:
            return {}
        params = self._params(model, run_id)
        return dict(_holder(model, text) for name, text in sorted(params.items()) if name.startswith(_CLAIM))

    def challenges(
        self, experiment: str, model: str, limit: int = 20, *, registered_model: str = ""
    ) -> tuple[Challenge, ...]:
        """Return what became of the newest training runs, of whichever cause, newest as-of first.

        Parameters
        ----------
        registered_model
            Name in the registry, where it is another one than the model's. Promoted is what has served, by its trail.
        """
        found = self._client.get_experiment_by_name(experiment)
        runs = [] if found is None else list(self._trainings(found.experiment_id, model, limit))
        served = self._served(registered_model or model, [run.info.run_id for run in runs])
        held: dict[str, list[str]] = {}
        for key, loop_run in self.claims(model).items():
            held.setdefault(loop_run, []).append(key)
        return tuple(
            _challenge(run, promoted=run.info.run_id in served, answers=held.get(run.data.tags[LOOP_RUN], ()))
            for run in runs
        )

    # -----------------------------------------------------------------------------------------------------------------

    def _trainings(self, experiment_id: str, model: str, limit: int) -> Iterator[Any]:
        """Runs of the loop that began to train: an as-of is told when the training is recorded."""
        query = f"tags.`{MODEL}` = {quoted(model)} and tags.`{LOOP_RUN}` LIKE '%' and tags.`{_AS_OF}` LIKE '%'"
        order = [f"tags.`{_AS_OF}` DESC", "attributes.start_time DESC"]
        token = None
        while limit > 0:
            page = self._client.search_runs(
                [experiment_id], query, order_by=order, max_results=min(limit, _PAGE), page_token=token
            )
            yield from page
            limit, token = limit - len(page), page.token
            if not token:
                return

    def _served(self, registered_model: str, runs: Sequence[str]) -> frozenset[str]:
        """Of these runs, those whose version has been champion."""
        served = fold(self.events(registered_model)).served if runs else frozenset()
        found: set[str] = set()
        for first in range(0, len(runs) if served else 0, _NAMED):
            wanted = ", ".join(quoted(run_id) for run_id in runs[first : first + _NAMED])
            query = f"name = {quoted(registered_model)} and run_id IN ({wanted})"
            versions = self._client.search_model_versions(query, max_results=1000)
            found |= {str(version.run_id) for version in versions if int(version.version) in served}
        return frozenset(found)

    def _write_once(self, model: str, run_id: str, name: str, text: str) -> bool:
        """Write a parameter; False when another value stands there."""
        from mlflow.exceptions import MlflowException

        if len(text) > _LONGEST:
            raise _broken(model, f"an entry of {len(text)} characters, which MLflow would cut", "say it shorter")
        try:
            self._client.log_param(run_id, name, text)
        except MlflowException:
            # Refused: because something stands there, or because the run is deleted. What stands there decides.
            standing = self._params(model, run_id).get(name)
            if standing is None:
                raise
            return standing == text
        return True

    def _log(self, model: str) -> str | None:
        """The run of a model's log; None when it has none yet. A store looks for it once."""
        if model not in self._logs and (found := self._find_log(model)) is not None:
            self._logs[model] = found
        return self._logs.get(model)

    def _find_log(self, model: str) -> str | None:
        experiment = self._client.get_experiment_by_name(f"{_EXPERIMENT}{model}")
        if experiment is None:
            return None
        if experiment.lifecycle_stage != "active":
            raise _broken(model, f"a deleted experiment '{experiment.name}'")
        run_id = experiment.tags.get(LOG)
        if not run_id or experiment.tags.get(LOG_OF) != model:
            raise _broken(model, f"an experiment '{experiment.name}' that does not name its run: its tags were changed")
        return str(run_id)

    def _new_log(self, model: str) -> str:
        from mlflow.exceptions import MlflowException

        run = self._client.create_run(self._experiment(RUNS), tags={LOG_OF: model}, run_name=model)
        run_id = str(run.info.run_id)
        tags = {
            LOG: run_id,
            LOG_OF: model,
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.note.content": f"The retraining log of {model}: parameters of run {run_id} in '{RUNS}'.",
        }
        try:
            self._client.create_experiment(f"{_EXPERIMENT}{model}", tags=tags)
        except MlflowException as error:  # two first decisions at once: the other one was faster
            if not is_taken(error):
                raise
        standing = self._log(model)
        if standing is None:
            raise _broken(model, "a log that vanished while it was made", "try again")
        if standing != run_id:
            self._client.delete_run(run_id)
        return standing

    def _params(self, model: str, run_id: str) -> Mapping[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if not is_missing(error):
                raise
            raise _broken(model, f"no run {run_id}, which held it: it was deleted for good") from error
        if run.info.lifecycle_stage != "active":
            raise _broken(model, f"a deleted run {run_id}")
        if run.data.tags.get(LOG_OF) != model:
            raise _broken(model, f"run {run_id}, which is not marked as its log")
        return dict(run.data.params)


def _parsed(model: str, params: Mapping[str, str]) -> tuple[RetrainDecision, ...]:
    numbered = {int(match[1]): text for name, text in params.items() if (match := _DECISION.fullmatch(name))}
    decisions = []
    for place, number in enumerate(sorted(numbered), 1):
        decision = RetrainDecision.from_json(numbered[number])
        if not place == number == decision.number or decision.model != model:
            raise _broken(model, f"decision {decision.number} of {decision.model} where decision {place} should be")
        decisions.append(decision)
    return tuple(decisions)


def _holder(model: str, text: str) -> tuple[str, str]:
    try:
        claim = json.loads(text)
        return str(claim["key"]), str(claim["loop_run"])
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(model, "a claim that cannot be read") from error


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


def _broken(
    model: str, found: str, fix: str = "restore it (mlflow experiments restore, or restore the run), or from a backup"
) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field="retraining log",
            found=found,
            allowed="the decisions as they were written, without gaps",
            fix=fix,
        ),
        subject=f"retraining log of {model}",
    )
