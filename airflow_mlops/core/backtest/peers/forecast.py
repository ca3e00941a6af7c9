"""UPF: train when the forecast of the losses says that it pays, with its uncertainty (Regol et al., ICML 2025).

F. Regol, L. Schwinn, K. Sprague, M. Coates and T. Markovich, When to retrain a machine learning model, PMLR 267, 2025
(arXiv 2505.14903). The performance of a model trained at i on the data of j is a random variable, whose mean is an
elastic net on i, j and j - i and whose variance is that of the net's residuals: of the Beta family where the metric is
bounded, normal where it is not (their appendix). It is fitted to all pairs of an offline part of the stream, and to
what is observed since. At each step the 95 % quantile of the cost of keeping is compared with that of training now.

Two things differ here: the net is not shown how far the inputs have shifted, and both costs are those of all steps that
remain, without a further training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.backtest.losses import KnownLosses, LossTable
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule, Wish

BOUNDED = frozenset({"roc_auc", "average_precision", "accuracy", "balanced_accuracy", "f1", "precision", "recall"})
"""Metrics between 0 and 1, of which the paper's experiments are."""
QUANTILE = 0.95
"""Of the two costs that are compared: the paper's."""
FEWEST = 6
"""Observed losses that a net is fitted to: with fewer a policy keeps its champion."""
DRAWS = 2000
"""Of the losses of the steps that remain, where they are of the Beta family."""
_MIXES = (0.1, 0.5, 0.7, 0.9, 0.95, 1.0)
_PENALTIES = tuple(10 ** (power / 4) for power in range(-12, 3))
"""Of standardised losses: from a thousandth to where nothing is left of the strongest line, at a mix of a third."""
_LEAST = 1e-8
"""Smallest variance of a loss."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The loss of a model that was trained at a step, in the future of another; steps count from the span's first."""

    trained: int
    used: int
    loss: float


def make_upf(given: PeerInput) -> Rule:
    """Make UPF, which begins with what the steps before the span show."""
    offline = () if given.history is None else tuple(all_pairs(given.history))

    def rule(known: KnownLosses) -> Wish:
        observed = (*offline, *seen_pairs(known))
        if len(observed) < FEWEST:
            return Wish(retrain=False, reason=f"{len(observed)} losses are known, {FEWEST} are needed")
        forecast = fit_losses(observed, bounded=given.bounded)
        age = known.since - known.first
        now = known.step - known.first
        used = range(now, now + known.remaining)
        keep = forecast.quantile([(age, step) for step in used], seed=known.step)
        train = given.price + forecast.quantile([(now, step) for step in used], seed=known.step)
        reason = f"training is forecast to cost {train:.4g} over the rest, keeping {keep:.4g}"
        return Wish(retrain=train < keep, reason=reason)

    return rule


def all_pairs(history: LossTable) -> Iterator[Observed]:
    """Losses of every model in every step before the span."""
    last = len(history.steps)
    for version, trained in history.trained_at.items():
        for step in range(trained, last):
            loss = history.loss(version, step)
            if loss is not None:
                yield Observed(trained=trained - last, used=step - last, loss=loss)


def seen_pairs(known: KnownLosses) -> Iterator[Observed]:
    """Losses, as far as they are known, of every model that has served, in every step since its training."""
    begun = {version: step for step, version in reversed(known.served)}
    for version in known.versions:
        for step in range(begun[version], known.step):
            loss = known.step_loss(version, step)
            if loss is not None:
                yield Observed(trained=begun[version] - known.first, used=step - known.first, loss=loss)


@dataclass(frozen=True, kw_only=True, eq=False)
class LossForecast:
    """Losses as random variables, by when a model was trained and when it is used."""

    net: Any
    """Predicts a loss in standard deviations from the mean of the observed ones."""
    scale: tuple[float, float]
    """That mean, and that deviation."""
    variance: float
    bounded: bool
    """Whether losses lie between 0 and 1, or between -1 and 0."""
    offset: float
    """What is added to a bounded loss so that it lies between 0 and 1."""

    def mean(self, pairs: Sequence[tuple[int, int]]) -> Array:
        """Expected losses of models trained at the first step of each pair and used at the second, shape (n,)."""
        mean, deviation = self.scale
        found: Array = mean + deviation * self.net.predict(_features(pairs))
        return found

    def quantile(self, pairs: Sequence[tuple[int, int]], seed: int) -> float:
        """Return the quantile of the sum of the losses of some pairs, which are independent.

        Of normal ones it is in closed form; as all have one variance, the quantiles of two sums of equally many differ
        as their means do. Of Beta ones it is drawn, with the same seed for what is to be compared.
        """
        import numpy as np
        from scipy.stats import norm

        mean = self.mean(pairs)
        if not self.bounded:
            return float(mean.sum() + norm.ppf(QUANTILE) * math.sqrt(self.variance * len(mean)))
        first, second = beta_parameters(mean + self.offset, self.variance)
        draws = np.random.default_rng(seed).beta(first, second, size=(DRAWS, len(mean)))
        return float(np.quantile(draws.sum(axis=1), QUANTILE) - self.offset * len(mean))


def fit_losses(observed: Sequence[Observed], *, bounded: bool) -> LossForecast:
    """Fit an elastic net to observed losses; its penalty is chosen by five folds, as in the paper's experiments."""
    import numpy as np
    from sklearn.linear_model import ElasticNetCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = _features([(one.trained, one.used) for one in observed])
    losses = np.array([one.loss for one in observed])
    mean, deviation = float(losses.mean()), float(losses.std()) or 1.0
    folds = min(5, len(losses) // 2)
    net = make_pipeline(StandardScaler(), ElasticNetCV(l1_ratio=_MIXES, alphas=_PENALTIES, cv=folds, max_iter=10_000))
    net.fit(features, (losses - mean) / deviation)
    residuals = losses - mean - deviation * net.predict(features)
    variance = max(float(np.mean(residuals**2)), _LEAST)
    offset = 1.0 if bounded and mean < 0 else 0.0
    return LossForecast(net=net, scale=(mean, deviation), variance=variance, bounded=bounded, offset=offset)


def beta_parameters(mean: Array, variance: float) -> tuple[Array, Array]:
    """Return the parameters of Beta distributions with these means and this variance, shape (n,) each.

    With ``s = m (1 - m) / v - 1`` they are ``m s`` and ``(1 - m) s`` (moments). ``m (1 - m)`` is the largest variance
    that anything between 0 and 1 has: one above nine tenths of it is cut to that, where nearly all lies at 0 and 1.
    """
    import numpy as np

    inside = np.clip(mean, 1e-6, 1 - 1e-6)
    size = np.maximum(inside * (1 - inside) / variance - 1, 1 / 9)
    return inside * size, (1 - inside) * size


def _features(pairs: Sequence[tuple[int, int]]) -> Array:
    """When it was trained, how old it is, when it is used: shape (n, 3)."""
    import numpy as np

    trained, used = np.asarray(pairs, dtype=float).T
    found: Array = np.column_stack([trained, used - trained, used])
    return found
