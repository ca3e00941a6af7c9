"""From columns as a source has them to the numbers and texts that a model is trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from airflow_mlops_steps.categories import written

NOT_NUMBERS = "holds no numbers"
_SECONDS_OF_A_DAY = 86_400
_NUMBERS = frozenset({"integer", "floating", "boolean", "decimal", "empty", "mixed-integer-float", "integer-na"})
"""What `pandas.api.types.infer_dtype` calls objects that are numbers or truth values."""


class SourceTypes(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The first step of a pipeline: source columns in the types that the steps behind it were fitted on.

    Numbers and booleans become float64, missing ones NaN; categories become text, missing ones NaN; dates and times
    become numbers, as `calendar` says, or stay times for a transformer. Columns that are not named are left out.

    Parameters
    ----------
    numeric, categorical
        Columns by what they are used as.
    times
        Columns of dates and times that are passed on, as naive ``datetime64[us]`` in UTC.
    calendar
        What is made of columns of dates and times, by column: names of :data:`PARTS`, or ``age_days``.
    event_time
        The column that ages are counted to.
    time_zone
        In which hours and days are read.

    Examples
    --------
    >>> frame = pd.DataFrame({"items": [3, 4], "at": ["2026-03-01T22:30:00Z", None], "zip": [1010, 1020]})
    >>> made = SourceTypes(["items"], ["zip"], calendar={"at": ["hour"]}, time_zone="Europe/Vienna")
    >>> made.fit_transform(frame).to_dict("list")
    {'items': [3.0, 4.0], 'at_hour': [23.0, nan], 'zip': ['1010', '1020']}
    """

    def __init__(  # noqa: PLR0917 - scikit-learn's way: every parameter by name
        self,
        numeric: Sequence[str] = (),
        categorical: Sequence[str] = (),
        times: Sequence[str] = (),
        calendar: Mapping[str, Sequence[str]] | None = None,
        event_time: str | None = None,
        time_zone: str = "UTC",
    ) -> None:
        self.numeric = numeric
        self.categorical = categorical
        self.times = times
        self.calendar = calendar
        self.event_time = event_time
        self.time_zone = time_zone

    def fit(self, X: pd.DataFrame, y: Any = None) -> SourceTypes:  # noqa: N803 - scikit-learn's names
        """Learn nothing: everything is said by the parameters."""
        del X, y
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803
        """Return numbers, what the calendar gives, texts and times, in this order; shape (rows, columns).

        Raises
        ------
        ValueError
            If a column is missing, or one of numbers holds something else.
        """
        numbers, texts = _plain(X, self.numeric, _are_floats), _plain(X, self.categorical, _are_texts)
        columns: dict[str, Any] = {}
        if numbers is None:
            columns |= {name: as_numbers(self._column(X, name)) for name in self.numeric}
        for name, parts in (self.calendar or {}).items():
            moments = as_times(self._column(X, name))
            for part in parts:
                columns[f"{name}_{part}"] = self._made(X, moments, part)
        if texts is None:
            columns |= {name: as_texts(self._column(X, name)) for name in self.categorical}
        columns |= {name: as_times(self._column(X, name)).dt.tz_localize(None) for name in self.times}
        made = pd.DataFrame(columns, index=X.index)
        whole = [part for part in (numbers, made, texts) if part is not None and part.shape[1]]
        if len(whole) <= 1:
            return whole[0] if whole else made
        return pd.concat(whole, axis=1)[list(self.get_feature_names_out())]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """Names of what `transform` returns."""
        del input_features
        made = [f"{name}_{part}" for name, parts in (self.calendar or {}).items() for part in parts]
        return np.array([*self.numeric, *made, *self.categorical, *self.times], dtype=object)

    def _made(self, frame: pd.DataFrame, moments: pd.Series[Any], part: str) -> Any:
        if part != "age_days":
            found = PARTS[part](moments.dt.tz_convert(self.time_zone).dt)
            return found.astype("float64").where(moments.notna()).to_numpy()
        if self.event_time is None:
            raise ValueError("age_days needs the event time")
        events = as_times(self._column(frame, self.event_time))
        if events.dtype != moments.dtype:  # one of them holds times beyond the reach of nanoseconds
            events, moments = (times.astype("datetime64[us, UTC]") for times in (events, moments))
        return (events - moments).dt.total_seconds().to_numpy(dtype="float64") / _SECONDS_OF_A_DAY

    @staticmethod
    def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
        if name not in frame.columns:
            raise ValueError(f"no column {name!r}; there are: {', '.join(map(str, frame.columns[:40]))}")
        return frame[name]


def _plain(frame: pd.DataFrame, names: Sequence[str], are_plain: Callable[[pd.DataFrame], bool]) -> pd.DataFrame | None:
    """Columns that are as they must be, all at once; None: look at each. Who asks again and again has wide tables."""
    wanted = list(names)
    if not (wanted and frame.columns.is_unique and frame.columns.isin(wanted).sum() == len(set(wanted)) == len(wanted)):
        return None
    taken = frame[wanted]
    return taken if are_plain(taken) else None


def _are_floats(frame: pd.DataFrame) -> bool:
    return bool((frame.dtypes == np.float64).all())


def _are_texts(frame: pd.DataFrame) -> bool:
    """Whether all are objects, each of them a text or a missing value that is a NaN."""
    if not all(kind == np.dtype(object) for kind in frame.dtypes):
        return False
    values = frame.to_numpy().ravel()
    gone = pd.isna(values)
    if not all(type(value) is float for value in values[gone]):
        return False
    return pd.api.types.infer_dtype(values, skipna=True) in {"string", "empty"}


PARTS: dict[str, Callable[[Any], pd.Series[Any]]] = {
    "minute": lambda moments: moments.minute,
    "hour": lambda moments: moments.hour,
    "weekday": lambda moments: moments.weekday,
    "weekend": lambda moments: moments.weekday >= 5,  # noqa: PLR2004 - Monday is 0
    "day": lambda moments: moments.day,
    "day_of_year": lambda moments: moments.dayofyear,
    "week": lambda moments: moments.isocalendar().week,
    "month": lambda moments: moments.month,
    "quarter": lambda moments: moments.quarter,
    "year": lambda moments: moments.year,
}
"""Numbers that are made of a moment in its zone, by name."""


def as_numbers(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Numbers and booleans as float64, missing ones NaN; shape (rows,).

    Raises
    ------
    ValueError
        If the column holds something else; the text begins with the column's name and :data:`NOT_NUMBERS`.
    """
    column = _decoded(column)
    kind = pd.api.types.infer_dtype(column, skipna=True) if column.dtype == object else ""
    if not (pd.api.types.is_numeric_dtype(column.dtype) or kind in _NUMBERS):
        raise ValueError(f"{column.name} {NOT_NUMBERS}, but values of type {kind or column.dtype}")
    if column.dtype == object:
        column = column.where(column.notna(), math.nan)  # pd.NA is no float
    extended = isinstance(column.dtype, pd.api.extensions.ExtensionDtype)
    return column.astype("Float64" if extended else "float64").to_numpy(dtype="float64", na_value=math.nan)


def as_texts(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Values as text, missing ones NaN; shape (rows,).

    One value has one text: 5, 5.0 and Decimal("5.00") are alike, and 64-bit numbers are written to the last digit. A
    missing value elsewhere in the column (which makes pandas hold floats) does not rename a category.
    """
    values = column.astype(object)
    if pd.api.types.infer_dtype(values, skipna=True) not in {"string", "empty"}:
        values = values.map(written, na_action="ignore")
    return values.where(column.notna(), math.nan).to_numpy(dtype=object)


def as_times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Dates and times in UTC (those without a zone are read so), missing and unreadable ones NaT; shape (rows,)."""
    column = _decoded(column)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        moments: pd.Series[Any] = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
        return moments
    if isinstance(column.dtype, pd.ArrowDtype):
        column = column.astype(object)
    if column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
        texts = column.map(lambda value: value if isinstance(value, str) else _iso(value), na_action="ignore")
        found: pd.Series[Any] = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        return _with_far_times(found, texts)
    raise ValueError(f"{column.name} holds no dates or times, but values of type {column.dtype}")


def _with_far_times(found: pd.Series[Any], texts: pd.Series[Any]) -> pd.Series[Any]:
    """Add times beyond the years that nanoseconds reach, such as the 9999-12-31 of what has no end."""
    lost = (found.isna() & texts.notna()).to_numpy()
    far = {int(place): moment for place in np.flatnonzero(lost) if (moment := _moment(texts.iloc[place])) is not None}
    if not far:
        return found
    found = found.astype("datetime64[us, UTC]")
    found.iloc[list(far)] = pd.DatetimeIndex(np.array(list(far.values()), dtype="datetime64[us]"), tz="UTC")
    return found


def _moment(text: str) -> datetime | None:
    """A time in UTC, without its zone; None where a text is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _iso(value: Any) -> str | None:
    return value.isoformat() if hasattr(value, "isoformat") else None


def _decoded(column: pd.Series[Any]) -> pd.Series[Any]:
    """The values of a categorical column themselves."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    return pd.Series(np.asarray(column), index=column.index, name=column.name)
