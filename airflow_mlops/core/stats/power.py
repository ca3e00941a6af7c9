"""What a comparison could have shown: the smallest gain it would have found, and the rows a gain would need.

A candidate is accepted when the lower bound of its gain is above `least`. That bound lies ``t[confidence] * SE`` below
the observed gain, which itself varies by SE about the true one. For the bound to lie above `least` with a chance of
`power`, the true gain must be

    least + (t[confidence, m - 1] + t[power, m - 1]) * SE,    SE = error * sqrt(m / (m - 1)),

for m resampled units (Lachin, 1981, equation 1, solved for the effect; Bloom, 1995, for t in place of normal quantiles;
Cohen, 1988, for 80 % as the usual power). SE is the standard deviation over resamples times sqrt(m / (m - 1)), as in
the bound itself: the bootstrap's variance of a mean is short by that factor (Hesterberg, 2015).

References
----------
H. S. Bloom (1995), Minimum detectable effects, Evaluation Review 19.
J. Cohen (1988), Statistical power analysis for the behavioral sciences, 2nd edition.
T. C. Hesterberg (2015), What teachers should know about the bootstrap, Am. Stat. 69.
J. M. Lachin (1981), Introduction to sample size determination and power analysis for clinical trials,
Controlled Clinical Trials 2.
"""

from __future__ import annotations

import math

from airflow_mlops.core.stats.bootstrap import Gain


def detectable(gain: Gain, least: float, confidence: float, power: float = 0.8) -> float:
    """Return the minimum detectable effect: the true gain that is accepted with a chance of `power` on such rows.

    Parameters
    ----------
    gain
        What was estimated, with its standard error.
    least
        What its lower bound is held against.
    confidence
        One-sided level of the bound.

    Returns
    -------
    float
        In units of the metric; NaN or infinite where the standard error is.

    Examples
    --------
    >>> found = Gain(value=0.01, lower=-0.01, upper=0.03, rows=5000, units=5000, error=0.01)
    >>> round(detectable(found, 0.0, 0.95), 4)
    0.0249
    """
    if gain.units < 2 or math.isnan(gain.error):  # noqa: PLR2004 - no spread of one unit
        return math.nan
    return least + _quantiles(gain.units, confidence, power) * gain.error * _corrected(gain.units)


def rows_needed(gain: Gain, least: float, confidence: float, power: float = 0.8) -> int | None:
    """Return how many such rows would show the observed gain with a chance of `power`, were it the true one.

    The standard error falls with the root of the number of units, and blocks keep their mean number of rows
    (Lachin, 1981, equation 1, with t quantiles for the number of units that results).

    Returns
    -------
    int or None
        None where no number of rows would do: the observed gain is not above `least`, or is not known.

    Examples
    --------
    >>> found = Gain(value=0.01, lower=-0.01, upper=0.03, rows=5000, units=5000, error=0.01)
    >>> rows_needed(found, 0.0, 0.95)
    30921
    """
    above = gain.value - least
    if gain.units < 2 or not (above > 0 and math.isfinite(above) and math.isfinite(gain.error)):  # noqa: PLR2004
        return None
    spread = gain.error * _corrected(gain.units) * math.sqrt(gain.units)  # standard deviation of one unit
    units = float(gain.units)
    for _ in range(50):  # a fixed point: t falls as units grow, and is flat soon
        units = max(2.0, (_quantiles(units, confidence, power) * spread / above) ** 2)
    return math.ceil(units * gain.rows / gain.units)


def _quantiles(units: float, confidence: float, power: float) -> float:
    from scipy import stats

    return float(stats.t.ppf(confidence, units - 1) + stats.t.ppf(power, units - 1))


def _corrected(units: int) -> float:
    return math.sqrt(units / (units - 1))
