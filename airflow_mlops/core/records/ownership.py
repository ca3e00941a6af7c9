"""To which specification a registered model, an experiment or a storage folder belongs."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.base import added
from airflow_mlops.core.records.json_text import read_json
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    from airflow_mlops.spec.model import ModelSpec

OWNER_TAG = "mlops.owner"
"""Tag of a registered model, of its versions and of an experiment: whose it is, as text of a :class:`SpecIdentity`."""


@dataclass(frozen=True, kw_only=True)
class SpecIdentity:
    """A specification among all that write to one MLflow: its name, and who answers for it.

    Neither the file nor the DAG is part of it: files are moved, and DAGs are composed by hand. The name alone is not
    enough, because two Airflows that share an MLflow may each have a specification of one name.
    """

    name: str
    owner: str = added("")
    """Empty: not known, which fits any."""

    @classmethod
    def of(cls, spec: ModelSpec) -> Self:
        """Return a specification's own."""
        return cls(name=spec.name, owner=spec.owner)

    @property
    def words(self) -> str:
        """In words.

        >>> SpecIdentity(name="orders", owner="team-a").words
        "specification 'orders' of team-a"
        """
        return f"specification '{self.name}'" + (f" of {self.owner}" if self.owner else "")

    def is_same(self, other: SpecIdentity) -> bool:
        """Whether both are one specification, as far as is known."""
        return self.name == other.name and (self.owner == other.owner or not (self.owner and other.owner))

    def to_text(self) -> str:
        """Return it as one line of JSON, for a tag or a file."""
        return json.dumps({"specification": self.name, "owner": self.owner}, ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str, *, where: str) -> Self:
        """Read what :meth:`to_text` wrote.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if it is something else; it names the place.
        """
        try:
            read = read_json(text)
            return cls(name=str(read["specification"]), owner=str(read["owner"]))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(
                Problem(
                    code=ReasonCode.RECORD_CONFLICT,
                    field=where,
                    found=f"{text[:200]!r}, which names no owner",
                    allowed='{"specification": NAME, "owner": OWNER}, as it was written',
                    fix="put it right by hand, or hand the model over: airflow mlops handover",
                )
            ) from error


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Whose an experiment or a folder is, and with which registered model it goes."""

    holder: SpecIdentity
    registered_model: str

    def to_text(self) -> str:
        """Return it as one line of JSON, for a tag or a file."""
        said = {**json.loads(self.holder.to_text()), "registered_model": self.registered_model}
        return json.dumps(said, ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str, *, where: str) -> Self:
        """Read what :meth:`to_text` wrote.

        Raises
        ------
        RecordError
            RECORD_CONFLICT, if it is something else; it names the place.
        """
        holder = SpecIdentity.from_text(text, where=where)
        return cls(holder=holder, registered_model=str(read_json(text).get("registered_model") or holder.name))


def owned_by_another(what: str, holder: SpecIdentity, asker: SpecIdentity, *, fix: str) -> RecordError:
    """Return the refusal of a specification that uses what belongs to another one."""
    return RecordError(
        Problem(
            code=ReasonCode.OWNED_BY_ANOTHER,
            field=what,
            found=f"what belongs to {holder.words}",
            allowed=f"what belongs to {asker.words}, or to none",
            fix=fix,
        ),
        subject=asker.name,
    )


def handover_fix(registered_model: str, to: SpecIdentity, field: str) -> str:
    """Return both ways out: a name of one's own, or the command that hands the model over."""
    model, owner = shlex.quote(registered_model), shlex.quote(to.owner) if to.owner else "OWNER"
    command = f"airflow mlops handover {model} --to {to.name} --owner {owner} --reason WHY"
    return f"set {field} to a name of its own, or let its owner hand it over: {command}"
