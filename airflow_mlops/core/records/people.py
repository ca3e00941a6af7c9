"""Who stands behind an effect, beside the run or the command that had it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from airflow_mlops.core.records.base import added

_WORDS = {
    "triggered": "triggered the run",
    "asked": "asked for the retraining",
    "sent_event": "sent the event through Airflow's API",
    "approved": "approved",
    "declined": "declined",
    "commanded": "gave the command",
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person, and what they did."""

    name: str
    """As Airflow, or the machine of the command line, knows them."""
    did: Literal["triggered", "asked", "sent_event", "approved", "declined", "commanded"]
    host: str = added("")
    """Machine of the command line."""

    @property
    def words(self) -> str:
        """Name, host and deed.

        >>> Person(name="ada", did="commanded", host="build-7").words
        'ada on build-7 (gave the command)'
        """
        return f"{self.name}{f' on {self.host}' if self.host else ''} ({_WORDS[self.did]})"


def name_people(people: Iterable[Person]) -> str:
    """Return all of them in one line; empty where nobody is known.

    >>> name_people([Person(name="ada", did="triggered"), Person(name="bob", did="approved")])
    'ada (triggered the run), bob (approved)'
    """
    return ", ".join(person.words for person in people)
