"""How a candidate is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import choice, flag, grid, part, plain_mapping, share, text, texts, whole
from airflow_mlops.spec.value_checks import import_path, metric

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem


class SearchSpec(SpecModel):
    """Search over parameters, judged by folds that are ordered in time."""

    method: Literal["random", "grid"] = choice(
        "random", "grid", default="random", doc="random: `iterations` settings; grid: every combination."
    )
    parameters: dict[str, tuple[Any, ...]] = grid(doc="Values to try for each parameter.")
    iterations: int = whole(default=20, ge=1, le=10_000, doc="Parameter settings that a random search tries.")
    folds: int = whole(
        default=4, ge=2, le=100, doc="Folds; each is validated on rows later than those it is trained on."
    )
    metric: str | None = text(
        default=None,
        words="[metric](#metrics)",
        check=metric,
        doc="Metric to choose by; the gate's primary metric when left out.",
    )

    def problems_within(self) -> Iterator[Problem]:
        """Iterations mean nothing to a grid."""
        if self.method == "grid" and "iterations" in self.changed_fields():
            yield wrong(
                field="iterations",
                found=f"{self.iterations} with method 'grid'",
                allowed="'iterations' with method 'random' only",
                fix="remove 'iterations', or set method: random",
            )


class EarlyStoppingSpec(SpecModel):
    """How many rounds a boosted model is trained for: until the newest training rows gain nothing more by it."""

    rows: float = share(
        default=0.1,
        doc="The newest part of the training rows: rounds are chosen on it, and all rows trained on.",
    )
    rounds: int | None = whole(
        default=None,
        ge=1,
        doc="Rounds without gain after which no more are tried; `early_stopping_rounds` of the parameters, or 50.",
    )


class TrainingSpec(SpecModel):
    """The estimator and everything that makes a second training give the same model."""

    estimator: str = text(
        words="import path", check=import_path, doc="Any scikit-learn-compatible estimator, by import path."
    )
    parameters: dict[str, Any] = plain_mapping(
        doc="Its constructor's parameters. An estimator inside it is written {path: ..., parameters: {...}}, wherever "
        "a parameter takes one; class weights as {label: weight}, monotonic constraints as {feature: 1 or -1}."
    )
    early_stopping: EarlyStoppingSpec | None = part(
        EarlyStoppingSpec,
        default=None,
        doc="For XGBoost, LightGBM, CatBoost and scikit-learn's histogram boosting: how many rounds to train for.",
    )
    search: SearchSpec | None = part(SearchSpec, default=None, doc="Search over further parameters.")
    seed: int = whole(default=42, ge=0, le=2**32 - 1, doc="Seed of everything random in training and judging.")
    calibration: Literal["auto", "always", "never"] = choice(
        "auto",
        "always",
        "never",
        default="auto",
        doc="Whether a classifier's probabilities are calibrated in folds: auto where it learns from few events and is "
        "surely too sure of itself on rows that it has not seen.",
    )
    refit: bool = flag(
        default=False,
        doc="Whether an accepted candidate is trained again on all rows, those that it was judged on too, by the same "
        "recipe: that version serves, by the evidence of the one that was judged.",
    )
    format: Literal["skops", "cloudpickle"] = choice(
        "skops",
        "cloudpickle",
        default="skops",
        doc="How the model is stored. cloudpickle runs code when it is loaded: only where skops cannot.",
    )
    trusted_types: tuple[str, ...] = texts(
        default=(),
        words="list of import paths",
        check=import_path,
        doc="Types that skops may load beyond the reviewed list. Read what you add.",
    )

    def problems_within(self) -> Iterator[Problem]:
        """A parameter is either fixed or searched."""
        if self.search is not None:
            for name in sorted(self.parameters.keys() & self.search.parameters.keys()):
                yield wrong(
                    code="spec_duplicate",
                    field=f"search.parameters.{name}",
                    found=f"{name!r} also in training.parameters",
                    allowed="a parameter either fixed or searched",
                    fix="remove one of them",
                )
