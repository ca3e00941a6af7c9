"""Objects by their dotted path."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import find_nearest


def import_object(path: str, field: str) -> Any:
    """Import what a dotted path of the specification names.

    Raises
    ------
    TrainingError
        If the module cannot be imported or has no such name; it says which of the two, and the nearest name.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise TrainingError(_no_module(field, path, module_name, error)) from error
    except Exception as error:  # a module may raise anything while it runs
        raise TrainingError(
            Problem(
                code=ReasonCode.IMPORT_FAILED,
                field=field,
                found=f"{path}, but importing {module_name} raised {type(error).__name__}",
                allowed="a module that can be imported where Airflow's workers run",
                fix=f"run `python -c 'import {module_name}'` there and mend what it says",
            )
        ) from error
    if not hasattr(module, name):
        names = [known for known in dir(module) if not known.startswith("_")]
        near = find_nearest(name, names)
        raise TrainingError(
            Problem(
                code=ReasonCode.ESTIMATOR_INVALID,
                field=field,
                found=f"{path}, but {module_name} has no {name!r}",
                allowed="a name of that module",
                fix=f"did you mean '{module_name}.{near}'?" if near else "look the name up in its documentation",
            )
        )
    return getattr(module, name)


def _no_module(field: str, path: str, module_name: str, error: ImportError) -> Problem:
    parent, _, last = module_name.rpartition(".")
    near = None
    try:  # the nearest name of the package that does exist; that there is none is said below
        near = find_nearest(last, _submodules(parent)) if parent else None
    except ImportError:
        near = None
    missing = getattr(error, "name", None) or module_name
    return Problem(
        code=ReasonCode.IMPORT_FAILED,
        field=field,
        found=f"{path}, but there is no module {missing!r}"
        if isinstance(error, ModuleNotFoundError)
        else f"{path}, but importing {module_name} raised {type(error).__name__}",
        allowed="a module that can be imported where Airflow's workers run",
        fix=f"did you mean '{parent}.{near}.{path.rpartition('.')[2]}'?"
        if near
        else f"install the package that has {missing!r}, or correct the path",
    )


def _submodules(package: str) -> list[str]:
    import pkgutil

    module = import_module(package)
    return [info.name for info in pkgutil.iter_modules(getattr(module, "__path__", []))]
