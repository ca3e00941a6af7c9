"""Train a version again from what was recorded of it, and say whether the same model comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.reproduction import Circumstances, Comparison, Difference, Reproduction
from airflow_mlops.core.training.golden_batch import Kind, as_numbers, largest_difference

if TYPE_CHECKING:
    from airflow_mlops.core.records.candidate import Candidate, Label
    from airflow_mlops.core.training.fit import Fitted

_PYTHON = re.compile(r"^# Python (\S+) on (.+)$")
_CODE = re.compile(r"^# airflow_mlops code (\w+)$")
NOTHING = "nothing recorded"
_DECIDING = ("scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "skops", "airflow-mlops")
"""Packages that are named first: they make the numbers."""


def read_environment(text: str, commit: str | None = None) -> Circumstances:
    r"""Read what :func:`airflow_mlops.stores.model_files.format.environment` wrote.

    >>> read_environment("# Python 3.11.2 on Linux x86_64\nnumpy==2.0.0\n").packages
    {'numpy': '2.0.0'}
    """
    lines = text.splitlines()
    python = next((found for found in map(_PYTHON.match, lines) if found), None)
    code = next((found for found in map(_CODE.match, lines) if found), None)
    pins = (line.partition("==") for line in lines if not line.startswith("#") and "==" in line)
    return Circumstances(
        python=python.group(1) if python else NOTHING,
        system=python.group(2) if python else NOTHING,
        code=code.group(1) if code else None,
        commit=commit,
        packages={name: version for name, _, version in pins},
    )


def circumstance_differences(recorded: Circumstances, now: Circumstances) -> tuple[Difference, ...]:
    """Everything that differs between two trainings' circumstances, what decides most first."""
    found = [_differs("Python", recorded.python, now.python), _differs("system", recorded.system, now.system)]
    found.append(_differs("code of airflow_mlops", _short(recorded.code), _short(now.code)))
    found.append(_differs("commit of the DAG folder", recorded.commit or NOTHING, now.commit or "no git repository"))
    if recorded.commit is not None and recorded.commit == now.commit and recorded.commit.endswith("-dirty"):
        # Changes that nobody committed have no name: two working trees with the same one need not be equal.
        found.append(
            Difference(what="commit of the DAG folder", recorded="uncommitted changes", now="other ones, maybe")
        )
    names = sorted({*recorded.packages, *now.packages}, key=lambda name: (name not in _DECIDING, name))
    missing = "not installed"
    found += [
        _differs(f"package {name}", recorded.packages.get(name, missing), now.packages.get(name, missing))
        for name in names
    ]
    return tuple(difference for difference in found if difference is not None)


def training_differences(candidate: Candidate, fitted: Fitted, *, seed: int) -> tuple[Difference, ...]:
    """What differs between a recorded training and one that was made now: seed, rows, features, parameters, classes."""
    pairs: list[tuple[str, Any, Any]] = [
        ("seed", candidate.seed, seed),
        ("task", candidate.task, fitted.task),
        ("classes", _typed(candidate.classes), _typed(fitted.classes)),
        ("training rows", candidate.train_rows, len(fitted.train_frame)),
        ("holdout rows", candidate.holdout_rows, len(fitted.holdout_frame)),
        ("features", _names(candidate), _names(fitted)),
    ]
    have, now = candidate.parameters, fitted.parameters
    pairs += [(f"parameter {key}", have.get(key, NOTHING), now.get(key, "none")) for key in sorted({*have, *now})]
    return tuple(found for found in (_differs(what, one, other) for what, one, other in pairs) if found is not None)


def compare_predictions(
    what: str, recorded: Predicted | tuple[Kind, Any], now: Predicted, classes: Sequence[Label] | None = None
) -> Comparison:
    """Compare predictions of the same rows, bit for bit.

    Parameters
    ----------
    what
        The two, in words.
    recorded
        Predictions, or their kind and numbers as a golden batch has them, shape (n, k).
    now
        Of the same n rows.
    classes
        The order in which probabilities are compared; that of each when None.

    Notes
    -----
    Two NaN are equal here, and +0.0 and -0.0 too (:func:`numpy.array_equal`).
    """
    import numpy as np

    kind, one = recorded if isinstance(recorded, tuple) else as_numbers(recorded, classes)
    same_kind, other = as_numbers(now, classes)
    one = np.asarray(one, dtype=float)
    rows = max(len(one), len(other))
    if kind != same_kind or one.shape != other.shape:
        return Comparison(what=what, rows=rows, differing=rows, max_difference=float("nan"))
    equal = np.isclose(one, other, rtol=0.0, atol=0.0, equal_nan=True).all(axis=1)
    apart = 0.0 if np.array_equal(one, other, equal_nan=True) else largest_difference(kind, one, other)
    return Comparison(what=what, rows=rows, differing=int((~equal).sum()), max_difference=apart)


def conclude_reproduction(
    candidate: Candidate,
    version: int,
    *,
    comparisons: Sequence[Comparison],
    differences: Sequence[Difference],
    metrics: Mapping[str, float],
) -> Reproduction:
    """Say whether the same model came out: only when every comparison is identical, and there is one."""
    same = bool(comparisons) and all(comparison.identical for comparison in comparisons)
    return Reproduction(
        model=candidate.model,
        version=version,
        run_id=candidate.run_id,
        model_uri=candidate.model_uri,
        snapshot=candidate.snapshot_fingerprint,
        verdict="identical" if same else "different",
        comparisons=tuple(comparisons),
        differences=tuple(differences),
        metrics=dict(metrics),
    )


def impossible_reproduction(
    candidate: Candidate, version: int, reasons: Sequence[str], differences: Sequence[Difference]
) -> Reproduction:
    """Say why it could not be trained again."""
    return Reproduction(
        model=candidate.model,
        version=version,
        run_id=candidate.run_id,
        model_uri=candidate.model_uri,
        snapshot=candidate.snapshot_fingerprint,
        verdict="impossible",
        reasons=tuple(reasons),
        differences=tuple(differences),
    )


def reproduction_text(found: Reproduction) -> str:
    """Return the result for a person: a verdict, what was compared, and what differed."""
    return "\n".join(_lines(found))


def _lines(found: Reproduction) -> Iterator[str]:
    verdict = {
        "identical": "identical: training again gives the same predictions, bit for bit",
        "different": "different: training again gives other predictions",
        "impossible": "could not be trained again",
    }[found.verdict]
    yield f"{found.model} version {found.version}: {verdict}"
    yield from (f"  {reason}" for reason in found.reasons)
    for comparison in found.comparisons:
        how = (
            "identical"
            if comparison.identical
            else f"{comparison.differing} differ, by {comparison.max_difference:.3g} at most"
        )
        yield f"  {comparison.what}: {comparison.rows} rows, {how}"
    if not found.differences:
        yield "  packages, Python, code, seed and rows are those of the first training"
        return
    yield f"  {len(found.differences)} differences from the first training:"
    yield from (f"    {change.what}: {change.recorded}, now {change.now}" for change in found.differences)


def _differs(what: str, recorded: Any, now: Any) -> Difference | None:
    return None if recorded == now else Difference(what=what, recorded=str(recorded), now=str(now))


def _short(digest: str | None) -> str:
    return NOTHING if digest is None else digest[:12]


def _names(model: Candidate | Fitted) -> str:
    return ", ".join(f"{feature.name} ({feature.role})" for feature in model.features)


def _typed(classes: Sequence[Any]) -> str:
    """Classes with their types, as a digest: their values are data, and 1 and True are equal."""
    import hashlib

    said = repr([(type(label).__name__, label) for label in classes])
    return f"{len(classes)} classes ({hashlib.sha256(said.encode()).hexdigest()[:8]})"
