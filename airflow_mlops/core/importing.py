"""Objects by their dotted path."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.platform_rules import is_installed
from airflow_mlops.spec.named_code import import_problem
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import find_nearest


def import_object(path: str, field: str) -> Any:
    """Import what a dotted path of the specification names.

    Raises
    ------
    TrainingError
        If the platform does not allow the path, the module cannot be imported or has no such name, or what is there
        is no class or function of an allowed module; it says which, and the nearest name.
    """
    refused = import_problem(path, field)
    if refused is not None and is_installed(path):  # of what is not there nothing can run: that is said below
        raise TrainingError(refused)
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
    found = getattr(module, name)
    problem = definition_problem(path, field, found)
    if problem is not None:
        raise TrainingError(problem)
    return found


def definition_problem(path: str, field: str, found: Any) -> Problem | None:
    """Say that what stands at an allowed path is not of an allowed module; None when it is.

    Modules import other modules, and functions of theirs: `sklearn.utils.os` is Python's own. So what is named must be
    a class or function, and have been defined in a module that is allowed itself.

    >>> import shutil, sklearn.svm
    >>> definition_problem("sklearn.svm.SVC", "training.estimator", sklearn.svm.SVC) is None
    True
    >>> definition_problem("sklearn.rmtree", "training.estimator", shutil.rmtree).found
    'sklearn.rmtree, a function that shutil defines'
    """
    home = getattr(found, "__module__", None)
    plain = isinstance(found, type) or callable(found)
    if plain and isinstance(home, str) and import_problem(f"{home}.{path.rpartition('.')[2]}", field) is None:
        return None
    kind = "a class" if isinstance(found, type) else f"a {type(found).__name__}"
    return Problem(
        code=ReasonCode.IMPORT_NOT_ALLOWED,
        field=field,
        found=f"{path}, {kind} that {home} defines" if plain and home else f"{path}, {kind}",
        allowed="a class or function that is defined in a module that [mlops] allowed_imports names",
        fix="name it by the module that defines it, if that is one",
    )


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
