"""What a loop run has registered: one version for each of its attempts, an attempt for each of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LOOP_RUN = "mlops.loop_run"
SNAPSHOT_TAG, SPEC_TAG = "mlops.snapshot", "mlops.spec"
JUDGED_VERSION = "mlops.judged_version"
"""Of a refitted version: the one whose evidence it serves by."""
SUPERSEDED_BY = "mlops.superseded_by"
"""Of a version: the one that a later attempt of its loop run registered. Of an MLflow run: the same, of its version."""


def inputs_of(snapshot: str, spec: str) -> str:
    """Return what an attempt of a loop run is known by: the rows and the specification of the training.

    Parameters
    ----------
    snapshot, spec
        Their fingerprints.

    >>> inputs_of("8c1f", "04ba")
    '8c1f/04ba'
    """
    return f"{snapshot}/{spec}"


def refit_run(loop_run: str) -> str:
    """Name the loop run of a refit: it trains, is decided about and registers one version of its own.

    >>> refit_run("late.train/r1")
    'late.train/r1/refit'
    """
    return f"{loop_run}/refit"


def judged_run(refit: str) -> str:
    """Return the loop run that a refit belongs to.

    >>> judged_run("late.train/r1/refit")
    'late.train/r1'
    """
    return refit.removesuffix("/refit")


@dataclass(frozen=True, kw_only=True)
class LoopVersion:
    """A version that a loop run registered, or the refit of its model.

    >>> tags = {"mlops.snapshot": "8c1f", "mlops.spec": "04ba", "mlops.judged_version": "1"}
    >>> refitted = LoopVersion(number=2, run_id="r", tags=tags)
    >>> refitted.attempt, refitted.inputs
    (1, '8c1f/04ba')
    """

    number: int
    run_id: str
    """Its MLflow run; empty where the registry does not say."""
    tags: Mapping[str, str]

    @property
    def attempt(self) -> int:
        """The version that was judged in its attempt: itself, or of a refitted one what it repeats."""
        return int(self.tags.get(JUDGED_VERSION) or self.number)

    @property
    def inputs(self) -> str:
        """What it was made from."""
        return inputs_of(self.tags.get(SNAPSHOT_TAG, ""), self.tags.get(SPEC_TAG, ""))

    @property
    def loop_run(self) -> str:
        """The loop run that registered it."""
        return self.tags.get(LOOP_RUN, "")
