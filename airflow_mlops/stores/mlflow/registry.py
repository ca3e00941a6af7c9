"""MLflow's model registry: versions, aliases and their tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion import DECISION_DIGEST_TAG, SERVED_STATUSES, STATUS_TAG
from airflow_mlops.core.records.attempt import LOOP_RUN, LoopVersion, refit_run
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.candidates import MLflowCandidates
from airflow_mlops.stores.mlflow.client import GuardedClient, quoted
from airflow_mlops.stores.mlflow.errors import conflict, is_missing, is_taken
from airflow_mlops.stores.mlflow.models import MLflowModels
from airflow_mlops.stores.mlflow.queries import all_pages, find_registered_model

_TAG, _DESCRIPTION = 5000, 5000
"""Longest values that every MLflow server takes, in characters."""


class MLflowRegistry:
    """Registered versions; implements :class:`airflow_mlops.core.ports.Registry`."""

    def __init__(self, client: GuardedClient, candidates: MLflowCandidates, models: MLflowModels) -> None:
        self._client, self._candidates, self._models = client, candidates, models

    def alias(self, model: str, alias: str) -> int | None:
        """Return the version under an alias; None if there is no such alias, or no such model."""
        return self._aliases(model).get(alias)

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
        if found is None:
            raise _unreadable(model, version, "which is deleted", "champion")
        return self._trained(model, version, found, "champion")

    def version(self, model: str, number: int) -> Champion:
        """Return a version with the record of its training, as if it served.

        Raises
        ------
        RecordError
            VERSION_MISSING, if it does not exist (any more); CHAMPION_UNREADABLE, if it was not made by the loop.
        """
        found = self._version(model, number)
        if found is None:
            raise RecordError(
                Problem(
                    code=ReasonCode.VERSION_MISSING,
                    field=f"{model} version {number}",
                    found="no such version (any more)",
                    allowed="a version in the registry",
                    fix="name another version; airflow mlops history shows them",
                )
            )
        return self._trained(model, number, found)

    def version_of(self, model: str, run_id: str) -> int | None:
        """Return the version that this run registered: of several the one that holds an alias, else the lowest."""
        found = self._versions_of(model, run_id)
        return int(found[0].version) if found else None

    def loop_versions(self, model: str, loop_run: str) -> tuple[LoopVersion, ...]:
        """Return every version that a loop run or its refit registered, also where its MLflow run is deleted."""
        found = [
            LoopVersion(number=int(version.version), run_id=str(version.run_id or ""), tags=dict(version.tags))
            for name in (loop_run, refit_run(loop_run))
            for version in all_pages(
                self._client.search_model_versions,
                filter_string=f"name = {quoted(model)} and tags.`{LOOP_RUN}` = {quoted(name)}",
            )
            if version.tags.get(LOOP_RUN) == name  # the database may compare without the case
        ]
        return tuple(sorted(found, key=lambda version: version.number))

    def register(self, model: str, candidate: Candidate, tags: Mapping[str, str]) -> int:
        """Register the candidate's model with its tags, in one request; once for a run.

        A registration whose answer was lost is sent again by MLflow's client and makes a second version, which is
        deleted here: only a version that holds no alias, has never served, and has the first one's source, loop run
        and decision.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if the run has several versions and one of them may be somebody else's, or its version was
            made from another model than the candidate's.
        """
        from mlflow.exceptions import MlflowException

        standing = self._only_version(model, candidate)
        if standing is not None:
            return standing
        if find_registered_model(self._client, model) is None:
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
        number = self._only_version(model, candidate)
        return int(made.version) if number is None else number

    def require_intact(self, candidate: Candidate) -> None:
        """Refuse a candidate whose stored model is not byte for byte what was recorded.

        Raises
        ------
        RecordError
            MODEL_ALTERED, or RECORD_CONFLICT if it is gone.
        """
        self._models.require_intact(candidate)

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point an alias at a version."""
        self._client.set_registered_model_alias(model, alias, str(version))

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias; nothing happens if there is none."""
        if self.alias(model, alias) is not None:
            self._client.delete_registered_model_alias(model, alias)

    def version_tags(self, model: str, version: int) -> Mapping[str, str] | None:
        """Return the tags of a version; None if it does not exist (any more)."""
        found = self._version(model, version)
        return None if found is None else dict(found.tags)

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version, one request each: MLflow has no other way."""
        for name, value in tags.items():
            self._client.set_model_version_tag(model, str(version), name, value)

    def describe_version(self, model: str, version: int, text: str) -> None:
        """Set the description of a version, in Markdown: MLflow shows it on the version's page."""
        self._client.update_model_version(model, str(version), text[:_DESCRIPTION])

    def model_tags(self, model: str) -> Mapping[str, str]:
        """Return the tags of a registered model; none when there is no such model."""
        registered = find_registered_model(self._client, model)
        return {} if registered is None else dict(registered.tags)

    def tag_model(self, model: str, tags: Mapping[str, str]) -> None:
        """Set tags of a registered model, one request each; one that does not exist yet is made with them.

        Of two that make it at the same time, the tags of the later one stand.
        """
        from mlflow.exceptions import MlflowException

        if find_registered_model(self._client, model) is None:
            try:
                self._client.create_registered_model(model, tags={name: text[:_TAG] for name, text in tags.items()})
            except MlflowException as error:
                if not is_taken(error):
                    raise
            else:
                return
        for name, value in tags.items():
            self._client.set_registered_model_tag(model, name, value[:_TAG])

    def _trained(self, model: str, version: int, found: Any, alias: str = "") -> Champion:
        if not found.run_id:
            raise _unreadable(model, version, "which names no MLflow run", alias)
        try:
            candidate = self._candidates.candidate(found.run_id)
        except RecordError as error:
            raise _unreadable(model, version, f"whose training record cannot be read: {error}", alias) from error
        if candidate.model_uri != found.source:
            why = f"made from {found.source}, while its run trained {candidate.model_uri}"
            raise _unreadable(model, version, why, alias)
        return Champion(
            model=model, version=version, run_id=found.run_id, model_uri=candidate.model_uri, candidate=candidate
        )

    def _versions_of(self, model: str, run_id: str) -> list[Any]:
        """The run's versions: first those with an alias, the champion before all, then by number."""
        query = f"name = {quoted(model)} and run_id = {quoted(run_id)}"
        found = sorted(self._client.search_model_versions(query), key=lambda version: int(version.version))
        if len(found) > 1:
            aliases = self._aliases(model)
            champion, held = aliases.get("champion"), set(aliases.values())
            found.sort(key=lambda version: (int(version.version) != champion, int(version.version) not in held))
        return found

    def _only_version(self, model: str, candidate: Candidate) -> int | None:
        """The run's version, after its doubles were deleted."""
        found = self._versions_of(model, candidate.run_id)
        if not found:
            return None
        kept, doubles = found[0], found[1:]
        if kept.source != candidate.model_uri:
            raise conflict(
                f"version {kept.version} of {model} names MLflow run {candidate.run_id}, and was made from another "
                "model than the one that this run trained",
                f"a version made from {candidate.model_uri}, which is what was judged",
                "delete that version if nobody needs it, then try again; or trigger a new run",
            )
        held = set(self._aliases(model).values()) if doubles else set()
        if any(int(double.version) in held or not _is_double(double, kept, candidate) for double in doubles):
            numbers = ", ".join(sorted((str(version.version) for version in found), key=int))
            raise conflict(
                f"MLflow run {candidate.run_id} has versions {numbers} of {model}, not all made by one registration",
                "one version of a run",
                f"keep the one that the loop made (version {kept.version} by all signs), delete the others",
            )
        for double in doubles:
            self._discard(model, str(double.version))
        return int(kept.version)

    def _discard(self, model: str, version: str) -> None:
        """Delete a version; another try of the same task may do so at the same moment."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.delete_model_version(model, version)
        except MlflowException as error:
            if not is_missing(error):
                raise

    def _aliases(self, model: str) -> dict[str, int]:
        registered = find_registered_model(self._client, model)
        return {} if registered is None else {name: int(number) for name, number in registered.aliases.items()}

    def _version(self, model: str, version: int) -> Any | None:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(model, str(version))
        except MlflowException as error:
            if not is_missing(error):
                raise
            return None


def _is_double(double: Any, kept: Any, candidate: Candidate) -> bool:
    """Whether a version was made by the same request as the one that is kept, sent again, and never used."""
    same = all(
        version.source == candidate.model_uri and version.tags.get(LOOP_RUN) == candidate.loop_run
        for version in (double, kept)
    )
    decided = kept.tags.get(DECISION_DIGEST_TAG)
    unused = double.tags.get(STATUS_TAG) not in SERVED_STATUSES
    return same and unused and decided is not None and double.tags.get(DECISION_DIGEST_TAG) == decided


def _unreadable(model: str, version: int, why: str, alias: str) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.CHAMPION_UNREADABLE,
            field=f"{model}@{alias}" if alias else f"{model} version {version}",
            found=f"the alias {alias} points at version {version}, {why}" if alias else f"version {version}, {why}",
            allowed="a version that the loop trained and promoted" if alias else "a version that the loop trained",
            fix=f"point the alias at a version that exists, or delete the alias: then {model} has no champion"
            if alias
            else "name another version",
        )
    )
