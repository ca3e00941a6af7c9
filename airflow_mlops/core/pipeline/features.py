"""Which columns a model sees, and the one pipeline that holds their preparation and the estimator together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.pipeline import boosters
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Column, Snapshot
from airflow_mlops.core.rows.columns import require_columns
from airflow_mlops.core.rows.types import kind_of_type
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from airflow_mlops_steps.source_types import SourceTypes

ONEHOT_CATEGORIES = 50
"""Columns that one categorical feature becomes at most; rarer values share the last."""


def role_of(arrow_type: str) -> str | None:
    """Role of a column by its Arrow type; None for times, bytes and nested values, which are no features by themselves.

    >>> role_of("int64"), role_of("dictionary<values=string, indices=int32, ordered=0>"), role_of("timestamp[us]")
    ('numeric', 'categorical', None)
    """
    return {"number": "numeric", "boolean": "numeric", "text": "categorical"}.get(kind_of_type(arrow_type))


def resolve(spec: ModelSpec, snapshot: Snapshot) -> tuple[Feature, ...]:
    """Features that the specification lists or, when it lists none, every column without another role, by type.

    Weights and the entity that the gate resamples by have another role. Columns that the gate slices or compares
    groups by are features unless `features.exclude` names them. Dates and times are features where `features.calendar`
    names them, and where a transformer is to be given them: those that are listed and, when nothing is, all of them,
    the event time included.

    Numeric features come first: the histogram estimators' mask of categorical columns relies on the order. Times come
    last.

    Raises
    ------
    DataError
        If a listed column is not in the snapshot, is a time that nothing can be made of, or no column is left.
    """
    listed = spec.features.numeric + spec.features.categorical
    types = {column.name: column.type for column in snapshot.columns}
    require_columns((*listed, *spec.features.calendar), types)
    found = _listed(spec, types) if listed else _by_type(spec, snapshot.columns)
    found += _calendar_times(spec, {feature.name for feature in found})
    if found:
        return found
    raise DataError(_no_feature(_free(spec, snapshot.columns)), subject=spec.name)


def _listed(spec: ModelSpec, types: Mapping[str, str]) -> tuple[Feature, ...]:
    features = spec.features
    times = [name for name in features.numeric + features.categorical if kind_of_type(types[name]) == "time"]
    if times and features.transformer is None:
        raise DataError([_time_listed(name, types[name]) for name in times], subject=spec.name)
    numeric, categorical = (
        [name for name in names if name not in times] for names in (features.numeric, features.categorical)
    )
    return _in_order(numeric, categorical, times)


def _by_type(spec: ModelSpec, columns: Sequence[Column]) -> tuple[Feature, ...]:
    free = _free(spec, columns)
    times: list[str] = []
    if spec.features.transformer is not None:
        times = [column.name for column in free if kind_of_type(column.type) == "time"]
    if spec.features.transformer is not None and spec.data.time not in spec.features.exclude:
        times.append(spec.data.time)
    return _in_order(_with_role(free, "numeric"), _with_role(free, "categorical"), times)


def _free(spec: ModelSpec, columns: Sequence[Column]) -> list[Column]:
    taken = {spec.data.time, spec.data.label, *spec.data.key, *spec.features.exclude}
    taken |= set(spec.features.calendar)  # a date may be written as text
    taken |= {name for name in (spec.data.weight, spec.gate.champion.entity) if name is not None}
    return [column for column in columns if column.name not in taken]


def _calendar_times(spec: ModelSpec, known: set[str]) -> tuple[Feature, ...]:
    """Columns that `features.calendar` needs: those that it names, and the event time that ages are counted to."""
    calendar = spec.features.calendar
    wanted = [*calendar, *([spec.data.time] if any("age_days" in parts for parts in calendar.values()) else [])]
    return tuple(Feature(name=name, role="time") for name in dict.fromkeys(wanted) if name not in known)


def _time_listed(name: str, type_: str) -> Problem:
    return Problem(
        code=ReasonCode.COLUMN_RETYPED,
        field=f"features.{name}",
        found=f"dates or times ({type_})",
        allowed="numbers or categories, or a features.transformer that makes some of it",
        fix=f"write features.calendar: {{{name}: [hour, weekday, month, age_days]}}, or take it out of the list",
    )


def _no_feature(free: Sequence[Column]) -> Problem:
    types = ", ".join(f"{column.name} ({column.type})" for column in free) or "no column at all"
    return Problem(
        code=ReasonCode.COLUMN_MISSING,
        field="features",
        found=f"no usable column beside time, key, label and features.exclude: {types}",
        allowed="at least one number, boolean or text column",
        fix="list the columns under features.numeric or features.categorical",
    )


def as_features(frame: pd.DataFrame, features: Sequence[Feature]) -> pd.DataFrame:
    """Take the feature columns, in order, in the types that the pipeline was fitted on.

    Numbers and booleans become float64, missing ones NaN; categories become text, missing ones NaN; dates and times
    become naive ``datetime64`` in UTC. The pipeline's own first step does the same
    (:mod:`airflow_mlops_steps.source_types`), so that whoever serves it may give it the source's columns. Extra columns
    are left out.

    Parameters
    ----------
    frame
        Rows with at least the feature columns, shape (n, any).
    features
        What the model was trained on.

    Returns
    -------
    pandas.DataFrame
        Shape (n, len(features)), the index of `frame`.

    Raises
    ------
    DataError
        If a column is missing, or a numeric one holds something else than numbers.
    """
    import pandas as pd

    require_columns((f.name for f in features), frame.columns)
    problems: list[Problem] = []
    columns = {f.name: _CONVERSIONS[f.role](frame[f.name], problems) for f in features}
    if problems:
        raise DataError(problems)
    return pd.DataFrame(columns, index=frame.index, columns=[f.name for f in features])


def build_pipeline(spec: ModelSpec, features: Sequence[Feature], estimator: Any, transformer: Any = None) -> Pipeline:
    """Return an unfitted pipeline: source columns in their types, the transformer if any, encoding, the estimator.

    Numbers pass through to an estimator that accepts NaN; for others their median is imputed, with an
    indicator column, and they are scaled. `features.encoding` says how categories become numbers; ``auto``
    means ordinal codes for estimators that accept NaN, and one-hot columns for the others. Boosted models are told
    which codes are categories, and CatBoost is given the texts themselves (:mod:`.boosters`).

    Raises
    ------
    TrainingError
        If what the calendar makes has the name of a feature, or constraints by feature name cannot be placed.
    """
    from sklearn.pipeline import Pipeline

    source = source_types(spec, features, transformer)
    allows_nan = accepts_nan(estimator)
    encoding = spec.features.encoding
    as_texts = encoding == "auto" and transformer is None and boosters.takes_texts(estimator)
    ordinal = encoding == "ordinal" or (encoding == "auto" and allows_nan and not as_texts)
    numeric = [name for name in source.get_feature_names_out() if name not in {*source.categorical, *source.times}]
    categorical = list(source.categorical)
    # with a transformer in front, only fitting tells which columns come out of it
    seen = (None, None) if transformer is not None else (numeric, categorical)
    if transformer is None and (ordinal or as_texts):
        boosters.mark_categories(estimator, len(numeric), len(categorical), texts=as_texts)
    whole = transformer is None and allows_nan and (ordinal or as_texts or not categorical)
    boosters.place_constraints(estimator, (*numeric, *categorical) if whole else None)
    categories = _texts() if as_texts else _categories(ordinal, estimator, allows_nan)
    columns = _columns(seen[0], seen[1], _numbers(allows_nan), categories)
    if as_texts:
        columns.set_output(transform="pandas")
    steps = [("types", source), ("transformer", transformer), ("columns", columns), ("estimator", estimator)]
    return Pipeline([step for step in steps if step[1] is not None])


def source_types(spec: ModelSpec, features: Sequence[Feature], transformer: Any = None) -> SourceTypes:
    """Return the pipeline's first step, which takes the source's columns as they are.

    Raises
    ------
    TrainingError
        If what the calendar makes has the name of a feature.
    """
    from airflow_mlops_steps.source_types import SourceTypes

    listed = spec.features.numeric + spec.features.categorical
    names = {role: [f.name for f in features if f.role == role] for role in ("numeric", "categorical", "time")}
    passed = [name for name in names["time"] if transformer is not None and (not listed or name in listed)]
    calendar = {name: list(parts) for name, parts in spec.features.calendar.items()}
    step = SourceTypes(
        numeric=names["numeric"],
        categorical=names["categorical"],
        times=passed,
        calendar=calendar or None,
        event_time=spec.data.time if calendar else None,
        time_zone=spec.features.time_zone,
    )
    made = list(step.get_feature_names_out())
    twice = sorted({name for name in made if made.count(name) > 1})
    if twice:
        raise TrainingError(
            Problem(
                code=ReasonCode.COLUMN_DUPLICATED,
                field="features.calendar",
                found=f"{', '.join(twice)}, made of a time and also a feature",
                allowed="names that no feature has",
                fix="put the column of that name under features.exclude, or take the part out of features.calendar",
            ),
            subject=spec.name,
        )
    return step


def accepts_nan(estimator: Any) -> bool:
    """Whether the estimator's tags say that it handles missing values itself."""
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan)


def require_frame(transformed: Any, path: str) -> None:
    """Refuse a transformer that does not give back a frame.

    Raises
    ------
    TrainingError
        Names the type that came back.
    """
    import pandas as pd

    if not isinstance(transformed, pd.DataFrame):
        raise TrainingError(
            Problem(
                code=ReasonCode.ESTIMATOR_INVALID,
                field="features.transformer",
                found=f"{path} returned a {type(transformed).__name__}",
                allowed="a transformer whose transform returns a pandas DataFrame",
                fix="return a DataFrame, or call set_output(transform='pandas') in its constructor",
            )
        )


def _in_order(numeric: Sequence[str], categorical: Sequence[str], times: Sequence[str]) -> tuple[Feature, ...]:
    return tuple(
        [Feature(name=name, role="numeric") for name in numeric]
        + [Feature(name=name, role="categorical") for name in categorical]
        + [Feature(name=name, role="time") for name in times]
    )


def _with_role(columns: Sequence[Column], role: str) -> list[str]:
    return [column.name for column in columns if role_of(column.type) == role]


def _number(column: pd.Series[Any], problems: list[Problem]) -> Any:
    from airflow_mlops_steps.source_types import NOT_NUMBERS, as_numbers

    try:
        return as_numbers(column)
    except ValueError as error:
        said = str(error).removeprefix(f"{column.name} {NOT_NUMBERS}, but ")
        problems.append(
            Problem(
                code=ReasonCode.COLUMN_RETYPED,
                field=f"features.numeric.{column.name}",
                found=said,
                allowed="numbers or booleans",
                fix="convert the column in the source, or list it under features.categorical",
            )
        )
        return column


def _text(column: pd.Series[Any], _problems: list[Problem]) -> Any:
    from airflow_mlops_steps.source_types import as_texts

    return as_texts(column)


def _time(column: pd.Series[Any], problems: list[Problem]) -> Any:
    from airflow_mlops_steps.source_types import as_times

    try:
        return as_times(column).dt.tz_localize(None)
    except ValueError:
        problems.append(
            Problem(
                code=ReasonCode.COLUMN_RETYPED,
                field=f"features.calendar.{column.name}",
                found=f"values of type {column.dtype}",
                allowed="dates or times, or texts in ISO 8601",
                fix="convert the column in the source, or take it out of features.calendar",
            )
        )
        return column


_CONVERSIONS: Mapping[str, Callable[[Any, list[Problem]], Any]] = {
    "numeric": _number,
    "categorical": _text,
    "time": _time,
}


def _columns(numeric: Any, categorical: Any, numbers: Any, categories: Any) -> Any:
    from sklearn.compose import ColumnTransformer, make_column_selector

    if numeric is None:
        numeric = make_column_selector(dtype_include=["number", "bool"])
        # times that a transformer leaves are no categories: each would be one of its own
        categorical = make_column_selector(dtype_exclude=["number", "bool", "datetime", "datetimetz", "timedelta"])
    parts = [("numeric", numbers, numeric), ("categorical", categories, categorical)]
    return ColumnTransformer([part for part in parts if part[2] != []], verbose_feature_names_out=False)


def _texts() -> Any:
    from sklearn.impute import SimpleImputer

    return SimpleImputer(missing_values=math.nan, strategy="constant", fill_value="", keep_empty_features=True)


def _numbers(allows_nan: bool) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if allows_nan:
        return "passthrough"
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler())


def _categories(ordinal: bool, estimator: Any, allows_nan: bool) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
    from sklearn.utils import get_tags

    if not ordinal:
        sparse = bool(get_tags(estimator).input_tags.sparse)
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=ONEHOT_CATEGORIES, sparse_output=sparse
        )
        # the encoder takes NaN and None for two categories; whoever serves the pipeline directly may send either
        fills = [
            SimpleImputer(missing_values=kind, strategy="constant", fill_value="", keep_empty_features=True)
            for kind in (math.nan, None)
        ]
        return make_pipeline(*fills, encoder)
    missing = math.nan if allows_nan else -1
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=missing,
        encoded_missing_value=missing,
        max_categories=boosters.most_categories(estimator),
    )
