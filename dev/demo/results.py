"""What a loop run came to, read from where it is kept: MLflow has model, decision and promotion, Airflow the times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.promotion import PromotionRecord
from dev.errors import DevError
from dev.stack.airflow_api import Json

if TYPE_CHECKING:
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.client import GuardedClient
    from airflow_mlops.stores.mlflow.store import MLflowStore

_METRICS = (("log_loss", "log loss", ".4f"), ("roc_auc", "AUC", ".3f"))
_HEADS = ("as-of", "caused by", "rows", "decision", "champion", *(head for _, head, _ in _METRICS), "seconds", "why")
_NUMBERS = {"rows", *(head for _, head, _ in _METRICS), "seconds"}


@dataclass(frozen=True, kw_only=True)
class LoopResult:
    """One run of `<model>.train`."""

    candidate: Candidate
    decision: GateDecision
    promotion: PromotionRecord
    caused_by: str
    seconds: float

    @property
    def why(self) -> str:
        """The reason in one sentence: what spoke against it, or what it had over the champion."""
        return next(iter(self.decision.reasons), "")

    @property
    def cells(self) -> list[str]:
        """The row of the table."""
        metrics = [self._metric(name, form) for name, _, form in _METRICS]
        return [
            f"{self.candidate.as_of:%Y-%m-%d}",
            self.caused_by,
            f"{self.candidate.train_rows + self.candidate.holdout_rows:,}",
            str(self.decision.verdict.value),
            f"v{self.promotion.champion_version}" if self.promotion.champion_version else "none",
            *metrics,
            f"{self.seconds:.1f}",
            self.why,
        ]

    @property
    def line(self) -> str:
        """The row as a line of its own."""
        as_of, cause, rows, verdict, champion, *metrics, seconds, why = self.cells
        numbers = "  ".join(f"{head} {value}" for (_, head, _), value in zip(_METRICS, metrics, strict=True))
        return f"{as_of}  {cause:<9} {rows:>7} rows  {verdict:<12} champion {champion:<4} {numbers}  {seconds} s  {why}"

    def _metric(self, name: str, form: str) -> str:
        value = self.candidate.metrics.get(name)
        return "-" if value is None else format(value, form)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table of :attr:`LoopResult.cells`: numbers to the right, the last column not padded."""
    widths = [max(map(len, column)) for column in zip(_HEADS, *rows, strict=True)]
    widths[-1] = len(_HEADS[-1])  # a long sentence widens nothing
    lines = []
    for row in (_HEADS, ["-" * width for width in widths], *rows):
        padded = [
            cell.rjust(width) if head in _NUMBERS else cell.ljust(width)
            for head, cell, width in zip(_HEADS, row, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def read_result(run: Json, seconds: float, spec: ModelSpec, records: MLflowStore, client: GuardedClient) -> LoopResult:
    """Read the result of a run of `<model>.train` that has ended well.

    Raises
    ------
    DevError
        If MLflow does not have exactly one run for it.
    """
    run_id = mlflow_run(run, spec, client)
    return LoopResult(
        candidate=records.candidates.candidate(run_id),
        decision=records.decisions.decision(run_id),
        promotion=PromotionRecord.from_json(records.artifacts.read_text(run_id, "promotion.json")),
        caused_by=run["run_type"].removesuffix("_triggered").replace("asset", "monitor"),
        seconds=seconds,
    )


def mlflow_run(run: Json, spec: ModelSpec, client: GuardedClient) -> str:
    """Return the id of the MLflow run that belongs to an Airflow run."""
    key = f"{run['dag_id']}/{run['dag_run_id']}"
    experiment = client.get_experiment_by_name(spec.experiment)
    found = client.search_runs([experiment.experiment_id], f"tags.`mlops.loop_run` = '{key}'") if experiment else []
    if len(found) != 1:
        raise DevError(
            f"MLflow has {len(found)} runs for {key}, not one: was its data deleted? 'make clean' starts anew"
        )
    return str(found[0].info.run_id)
