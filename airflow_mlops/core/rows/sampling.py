"""A sample of rows that does not depend on their order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def sample(batches: Iterable[pa.RecordBatch], rows: int, seed: int) -> pa.Table | None:
    """Take a uniform sample without replacement of at most so many rows, in their order, in one pass.

    Each row gets a random number, and those with the smallest are kept: at most twice `rows` are held (bottom-k
    sampling; E. Cohen and H. Kaplan, "Summarizing Data Using Bottom-k Sketches", 2007).

    Returns
    -------
    pyarrow.Table or None
        The same for the same rows, however they are cut into batches; None when there is none.

    Examples
    --------
    >>> import pyarrow as pa
    >>> batch = pa.record_batch({"x": list(range(1000))})
    >>> sample([batch], 3, seed=0).equals(sample([batch[:400], batch[400:]], 3, seed=0))
    True
    """
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    held: list[pa.Table] = []
    numbers: NDArray[np.float64] = np.empty(0)
    for batch in batches:
        if not batch.num_rows:
            continue
        drawn = rng.random(batch.num_rows)
        kept = np.flatnonzero(drawn < numbers.max()) if len(numbers) >= rows else np.arange(batch.num_rows)
        if not len(kept):
            continue
        held.append(pa.Table.from_batches([batch]).take(pa.array(kept)))
        numbers = np.concatenate([numbers, drawn[kept]])
        if len(numbers) > 2 * rows:
            held, numbers = _smallest(held, numbers, rows)
    if not held:
        return None
    return _smallest(held, numbers, rows)[0][0]


def _smallest(
    held: list[pa.Table], drawn: NDArray[np.float64], rows: int
) -> tuple[list[pa.Table], NDArray[np.float64]]:
    import numpy as np
    import pyarrow as pa

    kept = np.sort(np.argpartition(drawn, rows - 1)[:rows]) if len(drawn) > rows else np.arange(len(drawn))
    return [pa.concat_tables(held).take(pa.array(kept))], drawn[kept]
