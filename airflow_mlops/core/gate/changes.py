"""What differs between a candidate and the champion: the first thing to read when one is worse than the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import Evaluation
from airflow_mlops.core.records.evidence import Change
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import SHORT, clip_text

MAX_CHANGES = 60
"""Differences that are listed; the last line counts the rest."""
MAX_TEXT = 120
"""Characters of a value that are shown."""
ABSENT = "none"


def changes(
    candidate: Candidate,
    champion: Champion | None,
    packages: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
) -> tuple[Change, ...]:
    """List what differs, in the order: what it is and what it learned from, features, parameters, packages.

    Parameters
    ----------
    champion
        None, when there is none yet: nothing differs then.
    packages
        Package versions by name, of the candidate's training and of the champion's; None: not known.

    Returns
    -------
    tuple of Change
        At most `MAX_CHANGES`, sorted by name within each of the four parts. Their metrics are not compared: each
        model was measured on its own holdout.
    """
    if champion is None:
        return ()
    ours, theirs = candidate, champion.candidate
    pairs = [
        (_facts(ours), _facts(theirs)),
        (_features(ours), _features(theirs)),
        (dict(_flat("training.parameters", ours.parameters)), dict(_flat("training.parameters", theirs.parameters))),
    ]
    if packages is not None:
        first, second = ({f"package {name}": version for name, version in part.items()} for part in packages)
        pairs.append((first, second))
    found = [change for first, second in pairs for change in _differences(first, second)]
    if len(found) > MAX_CHANGES:
        more = str(len(found) - MAX_CHANGES + 1)
        found = [*found[: MAX_CHANGES - 1], Change(what="further differences", candidate=more, champion=more)]
    return tuple(found)


def _facts(model: Candidate) -> dict[str, Any]:
    return {
        "as of": model.as_of.isoformat(),
        "classes": len(model.classes),
        "holdout window": str(model.holdout),
        "seed": model.seed,
        "snapshot": model.snapshot_fingerprint,
        "specification": model.spec_fingerprint,
        "task": model.task,
        "train rows": model.train_rows,
        "train window": str(model.train),
    }


def _features(model: Candidate) -> dict[str, Any]:
    found: dict[str, Any] = {f"feature {feature.name}": feature.role for feature in model.features}
    return {**found, "features": len(model.features)}


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Parameters by dotted path; lists stay whole."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _flat(f"{path}.{name}", part)
    else:
        yield path, value


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*ours, *theirs}):
        if name not in ours or name not in theirs or not _equal(ours[name], theirs[name]):
            yield Change(what=name, candidate=_text(ours, name), champion=_text(theirs, name))


def _equal(one: Any, other: Any) -> bool:
    """Equal as text too: 1 and True are different parameters, 1 and 1.0 (as JSON stores may write it) are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124 - NaN is NaN


def _text(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return ABSENT
    text = str(values[name])
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def changes_section(evaluation: Evaluation) -> Section:
    """Word what differs from what serves; without rows, why there are none."""
    found = evaluation.evidence.changes
    first = evaluation.champion_version is None
    why = "There was no champion to compare with." if first else "No change is recorded."
    return Section(
        key="changes",
        title="What changed against the champion",
        sentences=() if found else (why,),
        headings=("what", "candidate", "champion"),
        rows=tuple(
            (clip_text(item.what, SHORT), clip_text(item.candidate, SHORT), clip_text(item.champion, SHORT))
            for item in found
        ),
    )
