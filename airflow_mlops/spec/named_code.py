"""What a specification names that would be imported, and whether the platform allows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_mlops.platform_rules import is_installed, platform_rules, rules_at_hand
from airflow_mlops.spec.booster_texts import may_be_place
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.nested import expanded

if TYPE_CHECKING:
    from airflow_mlops.spec.model import ModelSpec
    from airflow_mlops.spec.problems import Problem

Named = tuple[str, str]
"""Field and dotted path."""

_OPTION = "[mlops] allowed_imports"
_METRICS_OF = {"sklearn": ("sklearn.metrics",), "xgboost": (), "lightgbm": (), "catboost": ()}
"""Of the libraries, the modules that hold metrics: the others have functions that fetch, write and run things."""
_PLACES = ("memory", "path", "filename", "input_model", "output_model", "snapshot_file", "train_dir", "machines")
_PLACE_ENDINGS = ("_dir", "_file", "_filename", "_path", "_directory")


def named_code(spec: ModelSpec) -> Iterator[Named]:
    """Yield every dotted path that something of this specification would import, with its field."""
    if spec.features.transformer is not None:
        yield "features.transformer", spec.features.transformer
    yield "training.estimator", spec.training.estimator
    yield from _nested("training.parameters", spec.training.parameters)
    if spec.training.search is not None:
        yield from _nested("training.search.parameters", spec.training.search.parameters)
    yield from ((f"training.trusted_types.{i}", path) for i, path in enumerate(spec.training.trusted_types))
    yield from ((f"gate.metrics.{i}.path", own.path) for i, own in enumerate(spec.gate.metrics))
    for number, told in enumerate(spec.notifications):
        if told.notifier is not None:
            yield f"notifications.{number}.notifier", told.notifier


def _nested(field: str, value: Any) -> Iterator[Named]:
    """Yield the estimators inside of parameters: each a mapping with a `path`, or the short form of one."""
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str):
            yield f"{field}.path", path
        for name, held in expanded(value).items():
            yield from _nested(f"{field}.{name}", held)
    elif isinstance(value, list | tuple):
        for number, held in enumerate(value):
            yield from _nested(f"{field}.{number}", held)


def import_problem(path: str, field: str) -> Problem | None:
    """Say that a path lies in no module that the platform allows; None when it does.

    >>> print(import_problem("os.system", "training.estimator"))  # doctest: +ELLIPSIS
    training.estimator: found 'os.system'; allowed: names below ..., as [mlops] allowed_imports says; ...
    """
    if rules_at_hand().list_import(path):
        return None
    rules = platform_rules()
    if rules.allow_import(path):
        return None
    return wrong(
        field,
        repr(path),
        f"names below {', '.join(rules.imports) or 'no module'}, as {_OPTION} says",
        "name another, or ask who runs this Airflow to add its package there",
        code="import_not_allowed",
    )


def metric_problem(path: str, field: str) -> Problem | None:
    """Say that a function of a library is no metric of it; functions of other packages are their owner's to judge."""
    homes = _METRICS_OF.get(path.partition(".")[0])
    if homes is None or any(path.startswith(f"{home}.") for home in homes):
        return None
    allowed = "functions of sklearn.metrics, or of a package of your own"
    return wrong(field, repr(path), allowed, "name a metric", code="import_not_allowed")


def problems_of_code(spec: ModelSpec, *, everything: bool = False) -> Iterator[Problem]:
    """Say which names of a specification the platform does not allow, and which parameters are places on a disk.

    Parameters
    ----------
    everything
        Also names of packages that are not installed here. When DAGs are made these are left to the worker, which may
        have them and asks again before it imports anything: nothing can run here of what is not here.
    """
    rules = rules_at_hand()
    for field, path in named_code(spec):
        listed = rules.list_import(path)
        if not (listed or everything or is_installed(path)):
            continue
        problem = None if listed else import_problem(path, field)
        if problem is None and field.startswith("gate.metrics."):
            problem = metric_problem(path, field)
        if problem is not None:
            yield problem
    training, of = spec.training, spec.training.estimator
    yield from problems_of_parameters("training.parameters", training.parameters, of)
    if training.search is not None:
        yield from problems_of_parameters("training.search.parameters", training.search.parameters, of)


def problems_of_parameters(field: str, value: Any, of: str = "") -> Iterator[Problem]:
    """Say which parameters of estimators name a place that they would read, write or load pickles from.

    scikit-learn's `memory` is a folder of pickles; the boosters' parameters name models, logs and snapshots; a text
    vectoriser with ``input: filename`` opens what the rows say. The names are told by their own ends, so that a
    parameter of an estimator that nobody here knows is held to the same. Boosters take any name: of theirs, those are
    told that may be texts.

    Parameters
    ----------
    of
        Import path of the estimator whose parameters they are; empty where they are nobody's.
    """
    if isinstance(value, list | tuple):
        for number, held in enumerate(value):
            yield from problems_of_parameters(f"{field}.{number}", held)
    if not isinstance(value, dict):
        return
    nested = "path" in value
    for name, held in value.items():
        if _is_place(str(name), held, nested=nested) or (not nested and may_be_place(of, str(name), held)):
            yield _no_place(f"{field}.{name}", held)
        else:
            inner = str(value["path"]) if nested and name == "parameters" else ""
            yield from problems_of_parameters(f"{field}.{name}", held, inner)


def _is_place(name: str, value: Any, *, nested: bool) -> bool:
    last = name.rpartition("__")[2].lower()
    place = (last in _PLACES or last.endswith(_PLACE_ENDINGS)) and not (nested and name == "path")
    return bool(_texts(value)) and (place or (last == "input" and "filename" in _texts(value)))


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, str)]


def _no_place(field: str, value: Any) -> Problem:
    from airflow_mlops.spec.suggest import shown

    return wrong(
        field,
        f"{shown(value)}, a place on a disk or in a network",
        "parameters that say how to learn, not where to read or write",
        "leave it out",
        code="spec_unsafe",
    )
