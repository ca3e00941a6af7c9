"""Values that no model can be given, in rows that are to be scored: infinite numbers, texts that are no number or time.

Training refuses them: somebody has to mend them before anything is learned. Scoring must not fail for a whole window
because of one. By `scoring.invalid` such a value is missing to the model, or its row is left out; either way the
manifest counts them by column and names the first rows, as it counts rows without a key. A column without a single
right value is another column: it is refused, as it is in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.pipeline.estimator import in_own_words
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.predictions import InvalidValues
from airflow_mlops.spec.problems import Problem, ReasonCode, Refusal

if TYPE_CHECKING:
    import pandas as pd

NAMED = 5
"""Rows that are named for each column."""
_UNNAMED = "missing, in the key: nobody can tell whose prediction it is"
MOST = 100
"""Rows of one chunk that a model may refuse one by one: more of them are no accident, and the window is refused."""


def find_invalid(frame: pd.DataFrame, features: Sequence[Feature]) -> Iterator[tuple[Feature, Array, pd.Series[Any]]]:
    """Yield features with invalid values, or with numbers as text: which rows are wrong, and the column read.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": ["1.5", "n/a", None]})
    >>> ((feature, rows, column),) = find_invalid(frame, [Feature(name="x", role="numeric")])
    >>> rows.tolist(), column.tolist()
    ([False, True, False], [1.5, nan, nan])
    """
    for feature in features:
        read = _READ.get(feature.role)
        if read is None or feature.name not in frame.columns:
            continue
        found = read(frame[feature.name])
        if found is None:
            continue
        rows = (frame[feature.name].notna() & found.isna()).to_numpy()
        if rows.any() or (feature.role == "numeric" and _is_text(frame[feature.name])):
            yield feature, rows, found


def _is_text(column: pd.Series[Any]) -> bool:
    import pandas as pd

    return pd.api.types.infer_dtype(column, skipna=True) == "string"


def _numbers(column: pd.Series[Any]) -> pd.Series[Any] | None:
    """Finite numbers, everything else missing; None where no value is a number."""
    import numpy as np
    import pandas as pd

    from airflow_mlops_steps.source_types import as_numbers

    try:
        values = as_numbers(column)
    except ValueError:
        values = np.asarray(pd.to_numeric(column.astype(object), errors="coerce"), dtype=float)
        if not np.isfinite(values).any():
            return None
    return pd.Series(np.where(np.isfinite(values), values, np.nan), index=column.index)


def _times(column: pd.Series[Any]) -> pd.Series[Any] | None:
    from airflow_mlops_steps.source_types import as_times

    try:
        found = as_times(column)
    except ValueError:
        return None
    return found if found.notna().any() else None


_READ: dict[str, Callable[[Any], Any]] = {"numeric": _numbers, "time": _times}


class Reader:
    """Reads rows for a model, batch by batch, and remembers what was wrong with them.

    Parameters
    ----------
    features
        Of the model.
    key
        Columns that name a row.
    rule
        `scoring.invalid`.
    """

    def __init__(self, features: Sequence[Feature], key: Sequence[str], rule: Literal["missing", "leave_out"]) -> None:
        self.features, self.key, self.rule = tuple(features), tuple(key), rule
        self._found: dict[tuple[str, str], InvalidValues] = {}

    @property
    def found(self) -> tuple[InvalidValues, ...]:
        """What was wrong so far, by column."""
        return tuple(self._found.values())

    def sound(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows with invalid values missing, or without the rows that have them."""
        import numpy as np

        for name in self.key:
            unnamed = frame[name].isna().to_numpy()
            if unnamed.any():  # scored all the same: its time may say whose it is
                self._note(name, _UNNAMED, frame.iloc[np.flatnonzero(unnamed)], "missing")
        bad, changed = np.zeros(len(frame), dtype=bool), dict[str, Any]()
        for feature, rows, column in find_invalid(frame, self.features):
            words = "no finite number" if feature.role == "numeric" else "no date or time"
            treated: Literal["missing", "left_out"] = "missing" if self.rule == "missing" else "left_out"
            if rows.any():
                self._note(feature.name, words, frame.iloc[np.flatnonzero(rows)], treated)
            bad |= rows
            changed[feature.name] = column
        if not changed:
            return frame
        return frame.assign(**changed) if self.rule == "missing" else frame.iloc[np.flatnonzero(~bad)]

    def predictable(self, frame: pd.DataFrame, predict: Callable[[pd.DataFrame], Any]) -> tuple[pd.DataFrame, Any]:
        """Rows that the model predicts, and what it predicts; those that it raises an error for are left out.

        Which rows these are is found by halving: about log2(n) attempts for each.

        Raises
        ------
        DataError
            If it raises one for every row, or for more than `MOST`; in its own words.
        """
        import numpy as np

        try:
            return frame, predict(frame)
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a library raises; it is told below in its own words
            first = error
        refused = np.zeros(len(frame), dtype=bool)
        self._halve(frame, np.arange(len(frame)), predict, refused)
        if not refused.any() or refused.all() or refused.sum() > MOST:
            raise DataError(_refused(first, int(refused.sum()), len(frame))) from first
        self._note("", f"the model raised {in_own_words(first)}", frame.iloc[np.flatnonzero(refused)], "left_out")
        rest = frame.iloc[np.flatnonzero(~refused)]
        return rest, predict(rest)

    def _halve(self, frame: pd.DataFrame, rows: Array, predict: Callable[[pd.DataFrame], Any], refused: Array) -> None:
        if refused.sum() > MOST:
            return
        some: pd.DataFrame = frame.take(rows)
        try:
            predict(some)
        except Exception:  # noqa: BLE001 - any is what is looked for
            if len(rows) == 1:
                refused[rows] = True
                return
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                self._halve(frame, half, predict, refused)

    def _note(self, column: str, words: str, rows: pd.DataFrame, treated: Literal["missing", "left_out"]) -> None:
        names = [
            ", ".join(str(value) for value in key) for key in rows[list(self.key)].head(NAMED).itertuples(index=False)
        ]
        before = self._found.get((column, treated))
        if before is None:
            before = InvalidValues(column=column, words=words, rows=0, treated=treated, keys=())
        self._found[column, treated] = replace(
            before, rows=before.rows + len(rows), keys=(*before.keys, *names)[:NAMED]
        )


def _refused(error: Exception, refused: int, rows: int) -> Problem:
    return Problem(
        code=ReasonCode.VALUE_NOT_FINITE,
        field="features",
        found=f"rows that the model raised {in_own_words(error)} for: {refused or 'an unknown number'} of {rows}"
        + (f", looked for until {MOST}" if refused > MOST else ""),
        allowed=f"at most {MOST} such rows in {rows}, which are left out",
        fix="look for extreme values in the window's features, or roll the champion back",
    )
