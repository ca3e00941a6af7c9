"""Decisions to retrain in MLflow: a numbered log of each model, written once, and who trains on which.

As the audit trail, on :mod:`airflow_mlops.stores.mlflow.numbered_log`: the parameter `decision.000007` is the seventh
decision. A claim is the parameter `claim.<digest of the decision's key>`, written once as well. docs/decisions/0010
says why it is not Airflow's asset state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from airflow_mlops.core.records.json_text import read_json
from airflow_mlops.core.records.retraining import RetrainDecision, as_line
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.client import GuardedClient
from airflow_mlops.stores.mlflow.numbered_log import LogKind, NumberedLog

LOG = "mlops.retraining_log"
"""Tag of the model's experiment: the run of the log."""
LOG_OF = "mlops.retraining_log_of"
"""Tag of that run and of that experiment: the model."""
RUNS = "mlops retraining"
"""The experiment in which the runs of all logs are."""
_CLAIM = "claim."


def _broken_log(found: str, fix: str) -> Problem:
    return Problem(
        code=ReasonCode.RECORD_CONFLICT,
        field="retraining log",
        found=found,
        allowed="the decisions as they were written, without gaps",
        fix=fix,
    )


_RESTORE = "restore it (mlflow experiments restore, or restore the run), or from a backup"
RETRAINING = LogKind(
    title="retraining log",
    noun="log",
    experiment="mlops retraining: ",
    runs=RUNS,
    run_tag=LOG,
    model_tag=LOG_OF,
    entry="decision",
    resumes=False,
    problem=_broken_log,
    restore=_RESTORE,
    repair=_RESTORE,
    retry="try again",
)


class MLflowRetrainLog:
    """Logs of decisions; implements :class:`airflow_mlops.core.ports.RetrainLog`."""

    def __init__(self, client: GuardedClient) -> None:
        self._log = NumberedLog(client, RETRAINING)

    def decisions(self, model: str) -> tuple[RetrainDecision, ...]:
        """Return every logged decision of a model, oldest first.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if the log is deleted, or not whole: without it, nobody knows what was decided.
        """
        run_id = self._log.run_of(model)
        return () if run_id is None else self._whole(model, self._log.read(model, run_id))

    def log_decision(self, model: str, decision: RetrainDecision) -> bool:
        """Write a decision at its number; False when another one stands there.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if it has no number, is too long, or the log is deleted.
        """
        if decision.number is None or decision.number < 1:
            raise RETRAINING.broken(model, "a decision without a number", "give it the next one")
        text = as_line(decision)
        run_id = self._log.run_of(model) or self._log.make_run(model)
        if self._log.write_once(model, run_id, self._log.name_of(decision.number), text):
            return True
        standing = self._whole(model, self._log.read(model, run_id))
        return any(one.number == decision.number and one.digest == decision.digest for one in standing)

    def claim(self, model: str, key: str, loop_run: str) -> str:
        """Claim a decision for a training run, once; return the loop run that holds it, this one or an earlier."""
        run_id = self._log.run_of(model) or self._log.make_run(model)
        name = _CLAIM + hashlib.sha256(key.encode()).hexdigest()[:40]
        text = json.dumps({"key": key, "loop_run": loop_run}, ensure_ascii=False, separators=(",", ":"))
        if self._log.write_once(model, run_id, name, text):
            return loop_run
        return _holder(model, self._log.read(model, run_id)[name])[1]

    def claims(self, model: str) -> Mapping[str, str]:
        """Return who holds what: the loop run, by key."""
        run_id = self._log.run_of(model)
        if run_id is None:
            return {}
        params = self._log.read(model, run_id)
        return dict(_holder(model, text) for name, text in sorted(params.items()) if name.startswith(_CLAIM))

    def _whole(self, model: str, parameters: Mapping[str, str]) -> tuple[RetrainDecision, ...]:
        """The decisions of a log, each at its number, without gaps."""
        decisions = []
        for place, (number, text) in enumerate(self._log.numbered(parameters).items(), 1):
            decision = RetrainDecision.from_json(text)
            if not place == number == decision.number or decision.model != model:
                raise RETRAINING.broken(
                    model, f"decision {decision.number} of {decision.model} where decision {place} should be"
                )
            decisions.append(decision)
        return tuple(decisions)


def _holder(model: str, text: str) -> tuple[str, str]:
    try:
        claim = read_json(text)
        return str(claim["key"]), str(claim["loop_run"])
    except (ValueError, KeyError, TypeError) as error:
        raise RETRAINING.broken(model, "a claim that cannot be read") from error
