"""What calls for a retraining, and what holds it back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import duration, flag, number, part, plain_mapping, whole

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem

PLAYBOOK: dict[str, str] = {
    "pipeline_fault": "Ask the owner of the source what changed; mend it there, then run monitoring again. Training "
    "is blocked for as long as the newest window looks like this.",
    "invalid_data": "Mend the data: the validation names the columns. Nothing is trained on it.",
    "drift": "Watch: the model still does what its gate promised, or nobody can know yet.",
    "decay": "A retraining has been asked for. If it is rejected, look at the slices that lost most.",
    "escalate": "Retraining did not help. Look for a feature that lost its meaning, a label whose definition changed, "
    "or a slice that needs its own model; consider a rollback.",
    "unwatched": "Give monitoring what it lacks: longer windows, a score log, or outcomes. Until then nobody sees "
    "whether this model is still good.",
    "budget": "See what became of the retrainings: did they fail, or were they refused? Mend that, then ask for one "
    "yourself with the monitor's Param `retrain`; or roll back.",
}
"""What to do, by situation: the texts that alerts carry when the specification has none of its own."""


class BudgetSpec(SpecModel):
    """How many retrainings the signals may cause."""

    runs: int = whole(default=4, ge=1, doc="At most this many ...")
    per: timedelta = duration(default="30d", doc="... in a period of this length.")


class CostSpec(SpecModel):
    """What one retraining costs: as much as predictions that are worse by `worse_by` for `per`."""

    worse_by: float | None = number(
        default=None,
        ge=0,
        nullable=True,
        doc="How much worse `gate.primary` would have to be, in its own units; null: by a hundredth of what the first "
        "model has on its holdout.",
    )
    per: timedelta = duration(
        default="30d",
        doc="For how long. A retraining that improves the metric by `worse_by` has paid for itself after so long.",
    )


class RetrainingSpec(SpecModel):
    """What calls for a retraining, and what holds it back."""

    on_decay: bool = flag(default=True, doc="Whether realised decay asks for a retraining.")
    on_estimate: bool = flag(default=True, doc="Whether estimated decay does, while outcomes are not known.")
    on_drift: bool = flag(
        default=True, doc="Whether drift does, while outcomes do not say that the model is all right."
    )
    on_shadow: bool = flag(
        default=False,
        doc="Whether a shadow challenger does: a model of today's rows that the gate would accept, better by "
        "more than what is no decay. One is trained to compare, and serves nobody, when the champion is half of "
        "`data.window` old (at least the holdout and the cooldown), and each time its age has doubled.",
    )
    on_volume: int | None = whole(
        default=None, ge=1, doc="New labelled rows since the champion's as-of that ask for a retraining; null: none do."
    )
    on_new_data: timedelta | None = duration(
        default=None,
        nullable=True,
        doc="`<model>.train` runs whenever so much more event time has arrived, seen by the triggerer; null: never.",
    )
    cooldown: timedelta = duration(
        default="14d",
        positive=False,
        doc="Shortest time from the champion's as-of, or the last retraining, to the next.",
    )
    min_new_rows: int = whole(default=0, ge=0, doc="Fewest labelled rows since the champion's as-of.")
    budget: BudgetSpec = part(BudgetSpec, default={}, doc="How many retrainings the signals may cause.")
    backoff: float = number(
        default=2.0,
        ge=1,
        doc="Each such challenger (`escalate_after`) multiplies the cooldown by this, up to `budget.per`.",
    )
    escalate_after: int = whole(
        default=5,
        ge=1,
        doc="Refused challengers in a row that were to cure decay or drift, after which the owner is asked; from then "
        "on one attempt is made in each cooldown.",
    )
    cost: CostSpec = part(
        CostSpec,
        default={},
        doc="What one retraining costs. Backtests add it to the loss, to compare policies; no rule reads it.",
    )
    playbook: dict[str, Any] = plain_mapping(
        doc="What to do, by situation: `pipeline_fault`, `invalid_data`, `drift`, `decay`, `escalate`, `unwatched`, "
        "`budget`; alerts carry it."
    )

    def problems_within(self) -> Iterator[Problem]:
        """Situations that exist, with a text."""
        for name, words in self.playbook.items():
            if name not in PLAYBOOK:
                yield wrong(f"playbook.{name}", repr(name), f"one of {', '.join(PLAYBOOK)}", "correct it")
            elif not isinstance(words, str) or not words.strip():
                yield wrong(f"playbook.{name}", repr(words), "a text", "say what to do")

    def plan(self, situation: str) -> str:
        """Return what to do in a situation."""
        return str(self.playbook.get(situation) or PLAYBOOK[situation])
