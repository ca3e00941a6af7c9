"""What a fresh interpreter runs to serve a stored model, and the one loader of model files.

This file uses the standard library, numpy, pandas and skops only, and nothing of this package: it also runs, by its
path, in an environment that has only what the model itself requires (and the steps that it brings). The parent is
:mod:`airflow_mlops.stores.serving_check.check`; they speak through files in one folder: `job.json` and `rows.json` in,
`result.json` out.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROW_SECONDS = 0.4
"""Time spent on rows one by one, and half of it on batches: the gate waits for it. A slow model has at least..."""
MIN_ROWS, MIN_BATCHES, MAX_BATCHES = 10, 3, 50
"""... so many measurements."""
_NETWORK = frozenset({"socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})


class UntrustedTypesError(Exception):
    """A model file asks for types that nobody reviewed."""

    def __init__(self, types: Iterable[str]) -> None:
        self.types = tuple(types)
        super().__init__(f"the stored model asks for {', '.join(self.types)}, which nobody has reviewed")


class BrokenModelError(Exception):
    """A model file cannot be read; the text has no values of rows."""


class _NetworkError(Exception):
    """The model, or a library, asked for the network."""


def load_file(file: Path, format_: str, trusted: Iterable[str], claimed: Iterable[str]) -> Any:
    """Audit a model file, then load it.

    Parameters
    ----------
    file
        The pipeline.
    format_
        ``skops``, or ``cloudpickle``, which runs code: whether that is allowed is for the caller to have decided.
    trusted
        Every type that may be loaded beyond those that skops itself trusts.
    claimed
        Types that the model's folder says to be needed; not believed, but one that nobody trusts is refused.

    Raises
    ------
    UntrustedTypesError
        With every type; nothing was loaded.
    BrokenModelError
        If the file is damaged, or needs code that is not here.
    """
    try:
        if format_ == "cloudpickle":
            import pickle  # what cloudpickle wrote, pickle reads

            with file.open("rb") as stream:
                return pickle.load(stream)  # noqa: S301 - the specification asks for it, see training.format
        return _load_skops(file, set(trusted), set(claimed))
    except ImportError as error:
        what = f"the module {error.name!r}" if error.name else "something"
        raise BrokenModelError(f"a {file.name} that needs {what}, which cannot be imported here") from error


def _load_skops(file: Path, trusted: set[str], claimed: set[str]) -> Any:
    import skops.io

    try:
        needed = set(skops.io.get_untrusted_types(file=file))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:  # cut off, or not written by skops
        raise BrokenModelError(f"a {file.name} that skops cannot read ({type(error).__name__})") from error
    unknown = sorted((needed | claimed) - trusted)
    if unknown:
        raise UntrustedTypesError(unknown)
    return skops.io.load(file, trusted=sorted(needed))


def predictions(pipeline: Any, rows: Any, task: str) -> Any:
    """Score rows as `core.pipeline.predict` does; floats of shape (n, classes) or (n, 1)."""
    import numpy as np

    if task == "regression":
        return np.asarray(pipeline.predict(rows), dtype=float).reshape(len(rows), 1)
    if hasattr(pipeline, "predict_proba"):
        return np.asarray(pipeline.predict_proba(rows), dtype=float)
    places = {label: place for place, label in enumerate(np.asarray(pipeline.classes_).tolist())}
    found = [float(places.get(label, "nan")) for label in np.asarray(pipeline.predict(rows)).tolist()]
    return np.array(found, dtype=float).reshape(len(rows), 1)


def measure(pipeline: Any, rows: Any, task: str) -> dict[str, Any]:
    """Score the rows together and one by one, several times; return predictions and milliseconds (p50, p99)."""
    batch = predictions(pipeline, rows, task)  # also warms up what the libraries make at their first call
    alone: list[Any] = []

    def one() -> None:
        place = len(alone)
        alone.append(predictions(pipeline, rows.iloc[place : place + 1], task)[0].tolist())

    row_ms = _timed(one, MIN_ROWS, len(rows), ROW_SECONDS)
    batch_ms = _timed(lambda: predictions(pipeline, rows, task), MIN_BATCHES, MAX_BATCHES, ROW_SECONDS / 2)
    return {"batch": batch.tolist(), "alone": alone, "row_ms": row_ms, "batch_ms": batch_ms}


def _timed(call: Callable[[], Any], least: int, most: int, seconds: float) -> list[float]:
    import numpy as np

    taken: list[float] = []
    while len(taken) < most and (len(taken) < least or sum(taken) < seconds):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return [float(np.quantile(taken, level) * 1000) for level in (0.5, 0.99)]


def main(folder: Path) -> int:
    """Do the job in a folder; return 0 when there is a result, which may be that it failed."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    # An alarm ends the process even inside compiled code, also when the parent is gone and can no longer kill it.
    signal.alarm(int(job["seconds"]) + 1)
    sys.path.extend(path for path in job["paths"] if path not in sys.path)
    sys.addaudithook(_refuse_network)
    result: dict[str, Any] = {"python": ".".join(map(str, sys.version_info[:3]))}
    doing = "be loaded"
    try:
        pipeline, result["load_seconds"] = _load(job)
        result["classes"] = _classes(pipeline, job["task"])
        doing = "score the golden batch"
        result.update(measure(pipeline, _rows(folder), job["task"]))
    except (UntrustedTypesError, BrokenModelError, _NetworkError) as error:
        result["failure"] = f"the stored model cannot {doing} in a fresh interpreter: {error}"
    except Exception as error:  # noqa: BLE001 - the model is somebody's code; its words may quote rows, its type does not
        result["failure"] = f"the stored model cannot {doing} in a fresh interpreter: {type(error).__name__}"
    partial = folder / "result.json.partial"
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(folder / "result.json")
    return 0


def _load(job: dict[str, Any]) -> tuple[Any, float]:
    """Return the pipeline, and the seconds from its file to it; libraries that every model needs are loaded before."""
    try:
        import pandas as pd  # noqa: F401
        import skops.io  # noqa: F401
    except ImportError as error:
        raise BrokenModelError(f"there is no module {error.name!r} among what the model requires") from error
    begun = time.perf_counter()
    pipeline = load_file(Path(job["file"]), job["format"], job["trusted"], job["claimed"])
    return pipeline, time.perf_counter() - begun


def _classes(pipeline: Any, task: str) -> list[Any]:
    return (
        []
        if task == "regression"
        else [getattr(label, "item", lambda label=label: label)() for label in pipeline.classes_]
    )


def _rows(folder: Path) -> Any:
    """Rows as the pipeline was trained on: float64, text with NaN where it is missing, and times."""
    import numpy as np
    import pandas as pd

    columns = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    read = {
        "numeric": lambda values: np.array(values, dtype=float),
        "categorical": lambda values: np.array([np.nan if text is None else text for text in values], dtype=object),
        "time": lambda values: np.array(values, dtype="datetime64[us]"),
    }
    return pd.DataFrame({column["name"]: read[column["role"]](column["values"]) for column in columns})


def _refuse_network(event: str, _arguments: Any) -> None:
    # Python code only, and not a wall against hostile code: skops' audit is that. It finds the model that needs a
    # service to predict, which a copy of it elsewhere would not have.
    if event in _NETWORK:
        raise _NetworkError(f"it asks for the network ({event})")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
