"""Gradient boosting of four libraries: what each calls its rounds, its categories and its constraints.

They are told apart by the module of their class, so that none of them is imported here: each is an optional extra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import did_you_mean

ORDINAL_CATEGORIES = 254
"""Codes that one categorical feature gets at most: histogram boosting has 255 bins, one of them for missing."""

Library = Literal["xgboost", "lightgbm", "catboost", "sklearn"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """How one library names what all of them have."""

    library: Library
    rounds: tuple[str, ...]
    """Parameters that say how many rounds there are; the first is its own name for it."""
    stopping: tuple[str, ...]
    """Parameters that ask for early stopping, and say after how many rounds without gain."""
    quiet: Mapping[str, Any]
    """Parameters, where nothing else is said: no files beside the model, no lines in the log for every round, and the
    same model on the same rows."""


_FAMILIES: Mapping[str, Family] = {
    "xgboost": Family(
        library="xgboost",
        rounds=("n_estimators",),
        stopping=("early_stopping_rounds",),
        quiet={},
    ),
    "lightgbm": Family(
        library="lightgbm",
        rounds=(
            *("n_estimators", "num_iterations", "num_iteration", "num_boost_round", "n_iter", "num_tree", "num_trees"),
            *("num_round", "num_rounds", "nrounds", "max_iter"),
        ),
        stopping=("early_stopping_rounds", "early_stopping_round", "early_stopping", "n_iter_no_change"),
        quiet={"verbosity": -1, "deterministic": True, "force_row_wise": True},
    ),
    "catboost": Family(
        library="catboost",
        rounds=("iterations", "n_estimators", "num_boost_round", "num_trees"),
        stopping=("early_stopping_rounds", "od_wait", "od_type", "od_pval", "use_best_model"),
        quiet={"verbose": False, "allow_writing_files": False},
    ),
    "sklearn": Family(library="sklearn", rounds=("max_iter",), stopping=(), quiet={}),
}
_SPOKEN = {"verbosity", "verbose", "verbose_eval", "silent", "logging_level"}
"""Names by which a specification says how much is to be logged: then nothing is added."""


def family_of(estimator: Any) -> Family | None:
    """Return the family of a boosted model; None for any other estimator.

    Examples
    --------
    >>> from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    >>> family_of(HistGradientBoostingClassifier()).library, family_of(RandomForestClassifier())
    ('sklearn', None)
    """
    for cls in type(estimator).__mro__:
        top = cls.__module__.partition(".")[0]
        if top in {"xgboost", "lightgbm", "catboost"}:
            return _FAMILIES[top]
        if top == "sklearn" and cls.__name__.startswith("HistGradientBoosting"):
            return _FAMILIES["sklearn"]
    return None


def nested(estimator: Any) -> Iterator[tuple[str, Any]]:
    """An estimator and every one inside it, by the path of parameters that leads there; its own path is empty."""
    yield "", estimator
    for name, value in estimator.get_params(deep=True).items():
        if hasattr(value, "get_params") and not isinstance(value, type):
            yield name, value


def leaves(estimator: Any) -> list[tuple[str, Any]]:
    """The estimators that hold no other one."""
    every = list(nested(estimator))
    paths = [path for path, _ in every]
    return [(path, one) for path, one in every if not any(_below(other, path) for other in paths if other != path)]


def _below(inner: str, outer: str) -> bool:
    return inner.startswith(f"{outer}__") if outer else bool(inner)


def boosted(estimator: Any) -> tuple[str, Any, Family] | None:
    """The one boosted model that an estimator is or holds: its path, itself and its family; None if it is not one."""
    found = [(path, one, family) for path, one in leaves(estimator) if (family := family_of(one)) is not None]
    return found[0] if len(found) == len(leaves(estimator)) == 1 else None


def numbers_labels(estimator: Any) -> bool:
    """Whether an estimator is about class numbers.

    Boosted models of other libraries are, and so is a monotonic constraint: what rises is the probability of class 1.
    """
    families = [family_of(one) for _, one in leaves(estimator)]
    constrained = any(
        name.rpartition("__")[2] in _CONSTRAINTS and value is not None
        for name, value in estimator.get_params(deep=True).items()
    )
    return constrained or any(family is not None and family.library != "sklearn" for family in families)


def quieten(estimator: Any, seed: int) -> None:
    """Give boosted models what a specification did not say: no files, no line for each round, a seed."""
    for _, one in leaves(estimator):
        family = family_of(one)
        if family is None:
            continue
        said = one.get_params()
        given = {name: value for name, value in family.quiet.items() if name not in said}
        if said.keys() & _SPOKEN:
            given = {name: value for name, value in given.items() if name not in _SPOKEN}
        if family.library == "catboost":
            given |= _cloneable(said)
            if not said.keys() & {"random_seed", "random_state"}:
                given["random_seed"] = seed  # it tells only the parameters that it was given
        if given:
            one.set_params(**given)


def _cloneable(said: Mapping[str, Any]) -> dict[str, Any]:
    """CatBoost copies lists and mappings that it is given, which scikit-learn's `clone` takes for a change of them."""
    found: dict[str, Any] = {}
    for name, value in said.items():
        if name in _CONSTRAINTS and isinstance(value, list):
            found[name] = f"({','.join(map(str, value))})"
        elif name == "class_weights" and isinstance(value, Mapping):
            found[name] = tuple(value.get(number, 1.0) for number in range(max(value, default=-1) + 1))
        elif isinstance(value, list):
            found[name] = tuple(value)
    return found


def takes_texts(estimator: Any) -> bool:
    """Whether categories are given as texts: CatBoost has an encoding of its own, by ordered target statistics."""
    families = [family_of(one) for _, one in leaves(estimator)]
    return bool(families) and all(family is not None and family.library == "catboost" for family in families)


def most_categories(estimator: Any) -> int | None:
    """How many codes a categorical feature may have; None where the library sets no bound."""
    families = [family_of(one) for _, one in leaves(estimator)]
    if families and all(family is not None and family.library in {"xgboost", "lightgbm"} for family in families):
        return None
    # the estimator's own number of bins, when it has one, bounds how many codes it can tell apart
    bins = [getattr(one, "max_bins", None) for _, one in nested(estimator)]
    return min([ORDINAL_CATEGORIES, *(each for each in bins if isinstance(each, int))])


def mark_categories(estimator: Any, numeric: int, categorical: int, *, texts: bool = False) -> None:
    """Tell boosted models which columns are categories, unless the specification told them something else.

    Parameters
    ----------
    numeric, categorical
        How many columns of each there are, numbers first.
    texts
        Whether categories are texts, and not codes.
    """
    if not categorical:
        return
    places = list(range(numeric, numeric + categorical))
    for _, one in nested(estimator):
        family = family_of(one)
        if family is None:
            continue
        said = one.get_params(deep=False)
        if family.library == "sklearn" and said.get("categorical_features", 0) == "from_dtype":
            one.set_params(categorical_features=[False] * numeric + [True] * categorical)
        elif family.library == "xgboost" and said.get("feature_types") is None:
            one.set_params(enable_categorical=True, feature_types=["q"] * numeric + ["c"] * categorical)
        elif family.library == "lightgbm" and not said.keys() & _LIGHTGBM_CATEGORIES:
            one.set_params(categorical_column=places)
        elif family.library == "catboost" and texts and said.get("cat_features") is None:
            one.set_params(cat_features=tuple(places))


_LIGHTGBM_CATEGORIES = {
    "categorical_feature",
    "cat_feature",
    "categorical_column",
    "cat_column",
    "categorical_features",
}
_CONSTRAINTS = {"monotonic_cst", "monotone_constraints", "monotonic_constraints", "mc", "monotone_constraint"}


def place_constraints(estimator: Any, columns: Sequence[str] | None) -> None:
    """Turn monotonic constraints by feature name into constraints by column, as the estimator is given them.

    Parameters
    ----------
    columns
        Names of the columns that the estimator gets, in order; None: they are not the features themselves.

    Raises
    ------
    TrainingError
        For a name that is no feature, or where features and columns are not the same.
    """
    for path, one in list(nested(estimator)):
        for name, value in one.get_params(deep=False).items():
            if name in _CONSTRAINTS and isinstance(value, Mapping):
                inside = path.replace("__", ".parameters.")
                field = ".".join(part for part in ("training.parameters", inside, name) if part)
                _require_columns(field, value, columns)
                placed = [int(value.get(column, 0)) for column in columns or ()]
                one.set_params(**{name: tuple(placed) if _is_tuple(one) else placed})


def _is_tuple(estimator: Any) -> bool:
    family = family_of(estimator)
    return family is not None and family.library == "xgboost"


def _require_columns(field: str, value: Mapping[str, Any], columns: Sequence[str] | None) -> None:
    if columns is None:
        raise TrainingError(
            Problem(
                code=ReasonCode.ESTIMATOR_INVALID,
                field=field,
                found="constraints by feature name, where features become several columns or a transformer makes them",
                allowed="an estimator that takes missing values, without features.transformer and one-hot columns",
                fix="set features.encoding: ordinal, or use an estimator such as "
                "sklearn.ensemble.HistGradientBoostingClassifier",
            )
        )
    problems = [
        Problem(
            code=ReasonCode.ESTIMATOR_INVALID,
            field=f"{field}.{name}",
            found=f"no feature {name!r}",
            allowed=f"one of: {', '.join(columns[:40])}",
            fix=did_you_mean(name, columns) or "name a feature",
        )
        for name in value
        if name not in columns
    ]
    problems += [
        Problem(
            code=ReasonCode.ESTIMATOR_INVALID,
            field=f"{field}.{name}",
            found=repr(sign),
            allowed="1 (rises), -1 (falls) or 0 (free)",
            fix="write one of them",
        )
        for name, sign in value.items()
        if name in columns and sign not in (-1, 0, 1)
    ]
    if problems:
        raise TrainingError(problems)
