"""MLflow's model registry: versions, aliases and their tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.model import Candidate, Champion
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow_candidates import MLflowCandidates
from airflow_mlops.stores.mlflow_client import is_missing, is_taken, quoted


class MLflowVersions(MLflowCandidates):
    """Registered versions; implements :class:`airflow_mlops.core.model.Registry`."""

    def alias(self, model: str, alias: str) -> int | None:
        """Return the version under an alias; None if there is no such alias, or no such model."""
        registered = self._registered(model)
        found = None if registered is None else registered.aliases.get(alias)
        return None if found is None else int(found)

    def champion(self, model: str) -> Champion | None:
        """Return the version under the alias `champion`, with the record of its training; None when there is none.

        Raises
        ------
        RecordError
            CHAMPION_UNREADABLE, if the alias points at a version that is gone or was not made by the loop.
        """
        version = self.alias(model, "champion")
        if version is None:
            return None
        found = self._version(model, version)
        if found is None or not found.run_id:
            raise _unreadable(model, version, "which is deleted" if found is None else "which names no MLflow run")
        try:
            candidate = self.candidate(found.run_id)
        except RecordError as error:
            raise _unreadable(model, version, f"whose training record cannot be read: {error}") from error
        if candidate.model_uri != found.source:
            raise _unreadable(model, version, f"made from {found.source}, while its run trained {candidate.model_uri}")
        return Champion(
            model=model, version=version, run_id=found.run_id, model_uri=candidate.model_uri, candidate=candidate
        )

    def version_of(self, model: str, run_id: str) -> int | None:
        """Return the version that this run registered.

        A registration whose answer was lost is sent again by MLflow's client and makes a second version: the first
        stays, the others are deleted.
        """
        numbers = sorted(
            int(found.version)
            for found in self._client.search_model_versions(f"name = {quoted(model)} and run_id = {quoted(run_id)}")
        )
        for double in numbers[1:]:
            self._client.delete_model_version(model, str(double))
        return numbers[0] if numbers else None

    def register(self, model: str, candidate: Candidate, tags: Mapping[str, str]) -> int:
        """Register the candidate's model with its tags, in one request; once for a run."""
        from mlflow.exceptions import MlflowException

        standing = self.version_of(model, candidate.run_id)
        if standing is not None:
            return standing
        if self._registered(model) is None:
            try:
                self._client.create_registered_model(model)
            except MlflowException as error:  # two first promotions at once
                if not is_taken(error):
                    raise
        made = self._client.create_model_version(
            model,
            source=candidate.model_uri,
            run_id=candidate.run_id,
            tags=dict(tags),
            model_id=candidate.model_uri.removeprefix("models:/"),
            await_creation_for=60,
        )
        number = self.version_of(model, candidate.run_id)
        return int(made.version) if number is None else number

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point an alias at a version."""
        self._client.set_registered_model_alias(model, alias, str(version))

    def version_tags(self, model: str, version: int) -> Mapping[str, str] | None:
        """Return the tags of a version; None if it does not exist (any more)."""
        found = self._version(model, version)
        return None if found is None else dict(found.tags)

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version, one request each: MLflow has no other way."""
        for name, value in tags.items():
            self._client.set_model_version_tag(model, str(version), name, value)

    def _registered(self, model: str) -> Any | None:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(model)
        except MlflowException as error:
            if not is_missing(error):
                raise
            return None

    def _version(self, model: str, version: int) -> Any | None:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(model, str(version))
        except MlflowException as error:
            if not is_missing(error):
                raise
            return None


def _unreadable(model: str, version: int, why: str) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.CHAMPION_UNREADABLE,
            field=f"{model}@champion",
            found=f"the alias champion points at version {version}, {why}",
            allowed="a version that the loop trained and promoted",
            fix=f"point the alias at a version that exists, or delete the alias: then {model} has no champion",
        )
    )
