"""Few exceptions, each a subclass of the builtin that fits, each carrying all its problems."""

from __future__ import annotations

from airflow_mlops.spec.problems import Refusal


class DataError(Refusal, ValueError):
    """The data is not what the specification says. Trying again changes nothing until the data changes."""


class TrainingError(Refusal, ValueError):
    """The estimator cannot be built, fitted, stored or used as the specification says."""


class RecordError(Refusal, ValueError):
    """A stored record is not whole, is of a newer format, or contradicts another one."""


class StaleDecisionError(Refusal, RuntimeError):
    """The decision was made against a champion that no longer serves, or for another version."""


class StoreUnavailableError(Refusal, ConnectionError):
    """A store did not answer. Trying again later may help, unless it is `lasting`."""

    lasting: bool = False
    """Whether the store is there and answers, but so that a person must do something before trying again helps."""
