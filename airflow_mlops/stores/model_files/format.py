"""The files of a stored model: written in MLflow's safe format, and audited before they are loaded."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import RecordError, TrainingError
from airflow_mlops.core.pipeline.trusted_types import estimators_of, reviewed_types, trusted_types
from airflow_mlops.core.source_digest import source_digest
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.model_files.loader import BrokenModelError, UntrustedTypesError, load_file
from airflow_mlops.stores.model_files.lock import make_lock

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.training import Fitted

EXAMPLE_ROWS = 5
SIGNATURE_ROWS = 1000
"""Enough rows to see every column's type; reading all of a large frame for it would cost more than it tells."""
_ALWAYS = ("scikit-learn", "numpy", "pandas", "scipy")
_FILES = {"skops": "model.skops", "cloudpickle": "model.pkl"}


def write_model(path: Path, fitted: Fitted, spec: ModelSpec, *, run_id: str, logged: Any) -> None:
    """Write the model's folder: MLmodel, the pipeline, its requirements, signature and input example.

    Raises
    ------
    TrainingError
        If the pipeline cannot be stored as the specification says.
    """
    import mlflow.sklearn
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    sample = fitted.train_frame.head(SIGNATURE_ROWS)
    skops = spec.training.format == "skops"
    try:
        mlflow.sklearn.save_model(
            fitted.pipeline,
            str(path),
            mlflow_model=Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id),
            serialization_format=spec.training.format,
            signature=_signature(sample, fitted),
            input_example=sample.head(EXAMPLE_ROWS).reset_index(drop=True),
            pip_requirements=requirements(spec),
            code_paths=[str(steps_folder())],  # our own steps, so that it can be served where we are not installed
            skops_trusted_types=list(trusted_types(spec)) if skops else None,
        )
    except MlflowException as error:
        said = " ".join(str(error.__cause__ or error).split())[:300]
        raise TrainingError(
            Problem(
                code=ReasonCode.TRAINING_FAILED,
                field="training.format",
                found=f"the fitted pipeline cannot be stored as {spec.training.format}: {said}",
                allowed="an estimator and transformer of importable classes and trusted types",
                fix="name the types in training.trusted_types after reading them, or choose format: cloudpickle",
            ),
            subject=spec.name,
        ) from error


def steps_folder() -> Path:
    """Folder of the package that each stored model brings along: :mod:`airflow_mlops_steps`.

    Raises
    ------
    ModuleNotFoundError
        If this installation lacks it.
    """
    found = find_spec("airflow_mlops_steps")  # not imported: it is scikit-learn's
    if found is None or found.origin is None:
        raise ModuleNotFoundError("airflow_mlops_steps, which comes with airflow-mlops", name="airflow_mlops_steps")
    return Path(found.origin).parent


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """The one file of a stored model that is loaded, and by which rules."""

    file: Path
    format: str
    trusted: tuple[str, ...]
    """Every type that may be loaded from it."""
    claimed: tuple[str, ...]
    """Types that its folder says to be needed."""


def load_model(folder: Path, spec: ModelSpec, *, subject: str) -> Any:
    """Audit a downloaded model folder, then load its pipeline.

    Raises
    ------
    RecordError
        TYPE_UNTRUSTED, one problem for each type, or for the format; RECORD_CONFLICT, if it is broken.
    """
    model = model_file(folder, spec, subject=subject)
    try:
        loaded = load_file(model.file, model.format, model.trusted, model.claimed)
    except UntrustedTypesError as error:
        raise _untrusted(
            [f"the stored model asks for {name}" for name in error.types],
            "types that airflow_mlops.core.pipeline.trusted_types has reviewed or training.trusted_types names",
            "find out who stored it; if it is yours, read the type and add it to training.trusted_types",
            subject,
        ) from error
    except BrokenModelError as error:
        raise _broken(subject, str(error)) from error
    if not callable(getattr(loaded, "predict", None)):
        raise _broken(subject, f"it holds a {type(loaded).__name__}, which predicts nothing")
    return loaded


def model_file(folder: Path, spec: ModelSpec, *, subject: str) -> ModelFile:
    """Find the file of a downloaded model folder, and say by which rules it may be loaded.

    The folder names its own trusted types, and the format that it wants to be loaded by; neither is believed. Only
    types that were reviewed, or that the specification trusts, are loaded, and pickle only if the specification
    says so.

    Raises
    ------
    RecordError
        TYPE_UNTRUSTED, for the format; RECORD_CONFLICT, if the folder is not a model as the loop stores it.
    """
    flavor = _flavor(folder, subject)
    format_ = str(flavor.get("serialization_format", "pickle"))
    if format_ not in ("skops", spec.training.format):
        raise _untrusted(
            [f"the stored format {format_}, which runs code when it is loaded"],
            "skops, or cloudpickle when training.format says so",
            "train the model again with format: skops",
            subject,
        )
    file = folder / _FILES[format_]
    if flavor.get("pickled_model") != file.name or not file.is_file():
        raise _broken(subject, f"no file {file.name} where MLmodel must name it")
    if format_ == "cloudpickle":
        _require_pickle_allowed(subject)
    # A champion may be of another estimator than the specification names today: every reviewed type is good.
    trusted = reviewed_types() | set(trusted_types(spec))
    claimed = tuple(map(str, flavor.get("skops_trusted_types") or ()))
    return ModelFile(file=file, format=format_, trusted=tuple(sorted(trusted)), claimed=claimed)


def _require_pickle_allowed(subject: str) -> None:
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION

    if not MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get():  # type: ignore[no-untyped-call]
        raise _untrusted(
            ["a model in cloudpickle, while MLFLOW_ALLOW_PICKLE_DESERIALIZATION is false here"],
            "skops",
            "train the model again with format: skops, or allow pickle on this worker",
            subject,
        )


def _flavor(folder: Path, subject: str) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        return dict(content["flavors"]["sklearn"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise _broken(subject, f"an MLmodel file that cannot be read ({type(error).__name__})") from error


def _signature(sample: pd.DataFrame, fitted: Fitted) -> Any:
    """The columns as the source may have them, and what is predicted.

    MLflow takes no integer or truth value for a double, and no number for a string, so the columns are of any type: the
    pipeline's first step reads what it is given (:mod:`airflow_mlops_steps.source_types`), missing values included.
    Names are still required, and REST requests are not cast on the way.
    """
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    with warnings.catch_warnings():
        # Integers without missing values in the sample may have some later: but a prediction is never missing.
        warnings.filterwarnings("ignore", message=".*integer column.*", category=UserWarning)
        outputs = infer_signature(sample, fitted.pipeline.predict(sample)).outputs
    any_type: Any = AnyType
    inputs = Schema([ColSpec(type=any_type(), name=feature.name) for feature in fitted.features])
    return ModelSignature(inputs=inputs, outputs=outputs)


def requirements(spec: ModelSpec) -> list[str]:
    """Pinned packages that loading and predicting need, given to MLflow because finding them out takes seconds."""
    paths = [*estimators_of(spec), spec.features.transformer or ""]
    own = {_distribution(path.partition(".")[0]) for path in paths if path}
    names = {*_ALWAYS, spec.training.format, *(name for name in own if name is not None)}
    return sorted(f"{name}=={_installed()[_normal(name)]}" for name in names)


def environment() -> str:
    """Every installed package, pinned, one a line; Python, the system and our own code as comments before them.

    :func:`airflow_mlops.core.training.reproduce.read_environment` reads it.
    """
    import platform

    pins = "".join(f"{name}=={version}\n" for name, version in sorted(_installed().items()))
    system = f"# Python {platform.python_version()} on {platform.system()} {platform.machine()}\n"
    return f"{system}# airflow_mlops code {source_digest()}\n{pins}"


def lock(spec: ModelSpec) -> str:
    """What serving a specification's model needs, with hashes: see :mod:`airflow_mlops.stores.model_files.lock`."""
    return make_lock(requirements(spec), [f"{name}=={version}" for name, version in sorted(_installed().items())])


@cache
def _installed() -> dict[str, str]:
    from importlib.metadata import distributions

    found = ((dist.metadata["Name"], dist.version) for dist in distributions())
    return {_normal(name): version for name, version in found if name}


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@cache
def _distribution(top: str) -> str | None:
    """Distribution that carries a top-level package; None for code that was never packaged, such as a DAG folder's."""
    from importlib.metadata import packages_distributions

    # Asking which distribution carries a package reads the file lists of all of them: half a second for one answer.
    likely = {"sklearn": "scikit-learn"}.get(top, _normal(top))
    if likely in _installed():
        return likely
    return next(iter(packages_distributions().get(top, ())), None)


def _untrusted(found: list[str], allowed: str, fix: str, subject: str) -> RecordError:
    return RecordError(
        [
            Problem(code=ReasonCode.TYPE_UNTRUSTED, field="model", found=text, allowed=allowed, fix=fix)
            for text in found
        ],
        subject=subject,
    )


def _broken(subject: str, found: str) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field="model",
            found=found,
            allowed="a scikit-learn model as the loop stores it",
            fix="train the model again",
        ),
        subject=subject,
    )
