"""Which columns a model sees, and the one pipeline that holds their preparation and the estimator together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.snapshot import Column, Snapshot
from airflow_mlops.core.rows.categories import written
from airflow_mlops.core.rows.columns import require_columns
from airflow_mlops.core.rows.types import decoded, kind_of_type
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

ONEHOT_CATEGORIES = 50
"""Columns that one categorical feature becomes at most; rarer values share the last."""
ORDINAL_CATEGORIES = 254
"""Codes that one categorical feature gets at most: histogram boosting has 255 bins, one of them for missing."""


def role_of(arrow_type: str) -> str | None:
    """Role of a column by its Arrow type; None for times, bytes and nested values, which are no features.

    >>> role_of("int64"), role_of("dictionary<values=string, indices=int32, ordered=0>"), role_of("timestamp[us]")
    ('numeric', 'categorical', None)
    """
    return {"number": "numeric", "boolean": "numeric", "text": "categorical"}.get(kind_of_type(arrow_type))


def resolve(spec: ModelSpec, snapshot: Snapshot) -> tuple[Feature, ...]:
    """Features that the specification lists or, when it lists none, every column without another role, by type.

    Weights and the entity that the gate resamples by have another role. Columns that the gate slices or compares
    groups by are features unless `features.exclude` names them.

    Numeric features come first: the histogram estimators' mask of categorical columns relies on the order.

    Raises
    ------
    DataError
        If a listed column is not in the snapshot, or no column is left.
    """
    listed = spec.features.numeric + spec.features.categorical
    if listed:
        require_columns(listed, [column.name for column in snapshot.columns])
        return _in_order(spec.features.numeric, spec.features.categorical)
    taken = {spec.data.time, spec.data.label, *spec.data.key, *spec.features.exclude}
    taken |= {name for name in (spec.data.weight, spec.gate.champion.entity) if name is not None}
    free = [column for column in snapshot.columns if column.name not in taken]
    found = _in_order(_with_role(free, "numeric"), _with_role(free, "categorical"))
    if not found:
        types = ", ".join(f"{column.name} ({column.type})" for column in free) or "no column at all"
        raise DataError(
            Problem(
                code=ReasonCode.COLUMN_MISSING,
                field="features",
                found=f"no usable column beside time, key, label and features.exclude: {types}",
                allowed="at least one number, boolean or text column",
                fix="list the columns under features.numeric or features.categorical",
            ),
            subject=spec.name,
        )
    return found


def as_features(frame: pd.DataFrame, features: Sequence[Feature]) -> pd.DataFrame:
    """Take the feature columns, in order, in the types that the pipeline was fitted on.

    Numbers and booleans become float64, missing ones NaN; categories become text, missing ones NaN, as
    :func:`~airflow_mlops.core.rows.categories.written` writes them: a missing value elsewhere in the column (which
    makes pandas hold floats) does not rename the category. Extra columns are left out.

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
    columns = {f.name: (_number if f.role == "numeric" else _text)(frame[f.name], problems) for f in features}
    if problems:
        raise DataError(problems)
    return pd.DataFrame(columns, index=frame.index, columns=[f.name for f in features])


def build_pipeline(spec: ModelSpec, features: Sequence[Feature], estimator: Any, transformer: Any = None) -> Pipeline:
    """Return an unfitted pipeline: the specification's transformer if any, encoding by column, the estimator.

    Numbers pass through to an estimator that accepts NaN; for others their median is imputed, with an
    indicator column, and they are scaled. `features.encoding` says how categories become numbers; ``auto``
    means ordinal codes for estimators that accept NaN, and one-hot columns for the others.
    """
    from sklearn.pipeline import Pipeline

    allows_nan = accepts_nan(estimator)
    encoding = spec.features.encoding
    ordinal = encoding == "ordinal" or (encoding == "auto" and allows_nan)
    # with a transformer in front, only fitting tells which columns come out of it
    numeric = None if transformer is not None else [f.name for f in features if f.role == "numeric"]
    categorical = None if transformer is not None else [f.name for f in features if f.role == "categorical"]
    if ordinal and categorical and numeric is not None:
        _mark_categories(estimator, len(numeric), len(categorical))
    columns = _columns(numeric, categorical, _numbers(allows_nan), _categories(ordinal, estimator, allows_nan))
    steps = [("columns", columns), ("estimator", estimator)]
    return Pipeline(steps if transformer is None else [("transformer", transformer), *steps])


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


def _in_order(numeric: Sequence[str], categorical: Sequence[str]) -> tuple[Feature, ...]:
    return tuple(
        [Feature(name=name, role="numeric") for name in numeric]
        + [Feature(name=name, role="categorical") for name in categorical]
    )


def _with_role(columns: Sequence[Column], role: str) -> list[str]:
    return [column.name for column in columns if role_of(column.type) == role]


def _number(column: pd.Series[Any], problems: list[Problem]) -> Any:
    import pandas as pd

    column = decoded(column)
    kind = pd.api.types.infer_dtype(column, skipna=True) if column.dtype == object else ""
    if (
        pd.api.types.is_numeric_dtype(column.dtype)
        or kind in {"integer", "floating", "boolean", "decimal", "empty"}
        or (kind in {"mixed-integer-float", "integer-na"})
    ):
        return column.astype(
            "Float64" if isinstance(column.dtype, pd.api.extensions.ExtensionDtype) else "float64"
        ).to_numpy(dtype="float64", na_value=math.nan)
    problems.append(
        Problem(
            code=ReasonCode.COLUMN_RETYPED,
            field=f"features.numeric.{column.name}",
            found=f"values of type {kind or column.dtype}",
            allowed="numbers or booleans",
            fix="convert the column in the source, or list it under features.categorical",
        )
    )
    return column


def _text(column: pd.Series[Any], _problems: list[Problem]) -> Any:
    import pandas as pd

    values = column.astype(object)
    if pd.api.types.infer_dtype(values, skipna=True) not in {"string", "empty"}:
        values = values.map(written, na_action="ignore")
    return values.where(column.notna(), math.nan).to_numpy(dtype=object)


def _columns(numeric: Any, categorical: Any, numbers: Any, categories: Any) -> Any:
    from sklearn.compose import ColumnTransformer, make_column_selector

    if numeric is None:
        numeric = make_column_selector(dtype_include=["number", "bool"])
        categorical = make_column_selector(dtype_exclude=["number", "bool"])
    parts = [("numeric", numbers, numeric), ("categorical", categories, categorical)]
    return ColumnTransformer([part for part in parts if part[2] != []], verbose_feature_names_out=False)


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
    # the estimator's own number of bins, when it has one, bounds how many codes it can tell apart
    bins = getattr(estimator, "max_bins", None)
    most = min(ORDINAL_CATEGORIES, bins) if isinstance(bins, int) else ORDINAL_CATEGORIES
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=missing, encoded_missing_value=missing, max_categories=most
    )


def _mark_categories(estimator: Any, numeric: int, categorical: int) -> None:
    """Tell histogram boosting which codes are categories, unless the specification told it something else."""
    if estimator.get_params(deep=False).get("categorical_features", 0) == "from_dtype":
        estimator.set_params(categorical_features=[False] * numeric + [True] * categorical)
