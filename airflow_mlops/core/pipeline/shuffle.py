"""Rows in which one column no longer belongs to its row: what permutation importance is made of.

It stands below the stages, because two of them need it: training asks how much the model listens to each feature, as
shares of a loss that is defined on any rows (they weigh drift), and the gate what is lost of its primary metric when a
column fails, on the judged rows and against a bound. Each keeps its own loss, rows and draws: with those of the other
a verdict of `gate.robustness.max_reliance` could change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_mlops.core.arrays import Array

if TYPE_CHECKING:
    import pandas as pd


def shuffled(frame: pd.DataFrame, names: Sequence[str], order: Array) -> pd.DataFrame:
    """Return the rows once for each name, one below the other, with that column's values in another order.

    One call of a model on the result scores many features.

    Parameters
    ----------
    frame
        Shape (n, columns).
    names
        Columns to shuffle, each by itself.
    order
        A permutation of 0 .. n - 1, shape (n,).

    Returns
    -------
    pandas.DataFrame
        Shape (n * len(names), columns); of one name with the index of `frame`, of several with one of its own: each
        row's label would stand there several times.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rows = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    >>> shuffled(rows, ["a", "b"], np.array([1, 0])).to_numpy().tolist()
    [[2, 3], [1, 4], [1, 4], [2, 3]]
    """
    import numpy as np
    import pandas as pd

    if len(names) == 1:
        return frame.assign(**{names[0]: frame[names[0]].to_numpy()[order]})
    size = len(frame)
    columns = {name: np.tile(frame[name].to_numpy(), len(names)) for name in frame.columns}
    for place, name in enumerate(names):
        columns[name][place * size : (place + 1) * size] = frame[name].to_numpy()[order]
    return pd.DataFrame(columns)
