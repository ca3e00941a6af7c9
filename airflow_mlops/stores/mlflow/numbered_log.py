"""A numbered log in MLflow whose entries are written once: parameters of one run for each model.

A parameter is the one thing in MLflow that can be written once only: the database has one row for a run and a key, and
refuses a second writer with another value. So of several who write the parameter `event.000007`, on any machine, one
succeeds.

There must be one such run. Names of experiments are unique in the database, so the experiment of a model's log, made in
one request with a tag that names the run, decides which run it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.spec.problems import Problem
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import is_missing, is_taken
from airflow_mlops.stores.mlflow.queries import SHOWN_AS, open_experiment

LONGEST = 6000
"""MLflow cuts a parameter's value there, without a word."""


@dataclass(frozen=True, kw_only=True)
class LogKind:
    """What one kind of log is called: in MLflow, where these names stay for ever, and in its refusals.

    Parameters
    ----------
    title, noun
        The log in words, ``audit trail``, and in one word, ``trail``.
    experiment
        Start of the name of each model's experiment; the model's name follows.
    runs
        The experiment in which the runs of all logs are.
    run_tag
        Tag of the model's experiment: the run of the log.
    model_tag
        Tag of that run and of that experiment: the model.
    entry
        Start of the name of a numbered parameter.
    resumes
        Whether a run that a killed process left is looked for, and used, before one is made.
    problem
        Makes the problem of a log that is not whole, of what was found and the fix.
    restore, repair, retry
        Fixes: of what was deleted, of what was changed or is gone for good, of what vanished while it was made.
    """

    title: str
    noun: str
    experiment: str
    runs: str
    run_tag: str
    model_tag: str
    entry: str
    resumes: bool
    problem: Callable[[str, str], Problem]
    restore: str
    repair: str
    retry: str

    def broken(self, model: str, found: str, fix: str = "") -> RecordError:
        """Return the refusal of a model's log that is not whole; without a `fix`, the one is to repair it."""
        return RecordError(self.problem(found, fix or self.repair), subject=f"{self.title} of {model}")


class NumberedLog:
    """The logs of one kind, one for each model.

    Parameters
    ----------
    client
        See :func:`airflow_mlops.stores.mlflow.client.connect`.
    kind
        What the log is called.
    find
        How the run of a model's log is found, where more than its experiment names it. None: by the experiment alone.
    """

    def __init__(
        self, client: GuardedClient, kind: LogKind, *, find: Callable[[str], str | None] | None = None
    ) -> None:
        self._client, self._kind = client, kind
        self._find = find or self._find_by_experiment
        self._number = re.compile(rf"{re.escape(kind.entry)}\.(\d{{6,}})")
        self._runs: dict[str, str] = {}

    def run_of(self, model: str) -> str | None:
        """Return the run of a model's log; None when it has none yet. It is looked for until it was found once.

        Raises
        ------
        RecordError
            If the log is deleted, or its experiment does not name a run.
        """
        if model not in self._runs and (found := self._find(model)) is not None:
            self._runs[model] = found
        return self._runs.get(model)

    def make_run(self, model: str) -> str:
        """Make the run of a model's log; return the one that stands, which another process may have made."""
        from mlflow.exceptions import MlflowException

        run_id = self._run_to_name(model)
        tags = {
            self._kind.run_tag: run_id,
            self._kind.model_tag: model,
            **SHOWN_AS,
            "mlflow.note.content": f"The {self._kind.title} of {model}: parameters of run {run_id} in "
            f"'{self._kind.runs}'.",
        }
        try:
            self._client.create_experiment(f"{self._kind.experiment}{model}", tags=tags)
        except MlflowException as error:  # two first entries at once: the other one was faster
            if not is_taken(error):
                raise
        standing = self.run_of(model)
        if standing is None:
            raise self._kind.broken(model, f"a {self._kind.noun} that vanished while it was made", self._kind.retry)
        if standing != run_id:
            self._client.delete_run(run_id)
        return standing

    def find_experiment(self, model: str) -> Any | None:
        """Return the experiment that names a log's run, also a deleted one; None when there is none."""
        return self._client.get_experiment_by_name(f"{self._kind.experiment}{model}")

    def run_named_by(self, experiment: Any, model: str) -> str:
        """Return the run that a model's experiment names.

        Raises
        ------
        RecordError
            If the experiment is deleted, or names none.
        """
        if experiment.lifecycle_stage != "active":
            raise self._kind.broken(model, f"a deleted experiment '{experiment.name}'", self._kind.restore)
        run_id = experiment.tags.get(self._kind.run_tag)
        if not run_id or experiment.tags.get(self._kind.model_tag) != model:
            raise self._kind.broken(
                model, f"an experiment '{experiment.name}' that does not name its run: its tags were changed"
            )
        return str(run_id)

    def read(self, model: str, run_id: str) -> Mapping[str, str]:
        """Return all parameters of a log's run.

        Raises
        ------
        RecordError
            If the run is gone, deleted, or not marked as this model's log.
        """
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if not is_missing(error):
                raise
            raise self._kind.broken(model, f"no run {run_id}, which held it: it was deleted for good") from error
        if run.info.lifecycle_stage != "active":
            raise self._kind.broken(model, f"a deleted run {run_id}", self._kind.restore)
        if run.data.tags.get(self._kind.model_tag) != model:
            raise self._kind.broken(model, f"run {run_id}, which is not marked as its {self._kind.noun}")
        return dict(run.data.params)

    def write_once(
        self,
        model: str,
        run_id: str,
        name: str,
        text: str,
        *,
        is_same: Callable[[Mapping[str, str]], bool | None] | None = None,
    ) -> bool:
        """Write a parameter of a log's run; False when something else stands there.

        Parameters
        ----------
        is_same
            Tells of the log's parameters whether what stands under the name is this entry; None when nothing stands
            there. Without it, the texts are compared.

        Raises
        ------
        RecordError
            If the text is longer than MLflow keeps, or the log is deleted.
        """
        from mlflow.exceptions import MlflowException

        if len(text) > LONGEST:
            raise self._kind.broken(
                model, f"an entry of {len(text)} characters, which MLflow would cut", "say it shorter"
            )
        try:
            self._client.log_param(run_id, name, text)
        except MlflowException:
            # Refused: because something stands there, or because the run is deleted. What stands there decides.
            standing = self.read(model, run_id)
            same = is_same(standing) if is_same else (standing[name] == text if name in standing else None)
            if same is None:
                raise
            return same
        return True

    def name_of(self, number: int) -> str:
        """Return the name of the parameter that is entry `number`."""
        return f"{self._kind.entry}.{number:06d}"

    def numbered(self, parameters: Mapping[str, str]) -> dict[int, str]:
        """Return the texts of the numbered entries among a log's parameters, by number, in order."""
        found = {int(match[1]): text for name, text in parameters.items() if (match := self._number.fullmatch(name))}
        return {number: found[number] for number in sorted(found)}

    # -----------------------------------------------------------------------------------------------------------------

    def _find_by_experiment(self, model: str) -> str | None:
        experiment = self.find_experiment(model)
        return None if experiment is None else self.run_named_by(experiment, model)

    def _run_to_name(self, model: str) -> str:
        """A run that may become the log's: one that a killed process left, where that is looked for, or a new one."""
        home, tags = open_experiment(self._client, self._kind.runs), {self._kind.model_tag: model}
        left = self._runs_left(home, model) if self._kind.resumes else []
        run = left[0] if left else self._client.create_run(home, tags=tags, run_name=model)
        return str(run.info.run_id)

    def _runs_left(self, home: str, model: str) -> list[Any]:
        query = f"tags.`{self._kind.model_tag}` = {quoted(model)}"
        found = self._client.search_runs([home], query, order_by=["attributes.start_time ASC"])
        return [run for run in found if run.data.tags.get(self._kind.model_tag) == model]
