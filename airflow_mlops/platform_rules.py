"""What the platform's operator allows specifications to name: the lowest floor, which knows neither of them.

The rules stand in Airflow's configuration, which the floors below the adapters must not import. So whoever starts the
package says how they are read (:func:`read_rules_by`, called in ``airflow_mlops/__init__.py``), and they are read
where they are needed. Without a reader the defaults hold, and those are the narrow ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

DEFAULT_IMPORTS = ("sklearn", "xgboost", "lightgbm", "catboost", "airflow_mlops")
"""Packages whose classes a specification may name unless the configuration says otherwise."""
GROUP = "mlops.allowed_imports"
"""Entry points of an installed package that is made for this one: each value is a module, `team_models.estimators`."""


@dataclass(frozen=True)
class PlatformRules:
    """What `[mlops] allowed_imports` and `allowed_schemas` say."""

    imports: tuple[str, ...] = DEFAULT_IMPORTS
    """Modules: a name is allowed that is one of them or below one."""
    schemas: tuple[str, ...] = ()
    """Schemas of databases; none: any."""

    def allow_import(self, path: str) -> bool:
        """Whether a dotted path lies below an allowed module, or below one that an installed package registers.

        >>> rules = PlatformRules()
        >>> [rules.allow_import(path) for path in ("sklearn.svm.SVC", "sklearn_evil.SVC", "os.system")]
        [True, False, False]
        """
        return self.list_import(path) or _below(path, registered_imports())

    def list_import(self, path: str) -> bool:
        """Whether the rules themselves name a module that a path lies below; installed packages are not asked."""
        return _below(path, self.imports)


def _below(path: str, modules: tuple[str, ...]) -> bool:
    return any(path == module or path.startswith(f"{module}.") for module in modules)


@cache
def registered_imports() -> tuple[str, ...]:
    """Return the modules that installed packages register; read once, and only when a path is not allowed otherwise."""
    from importlib.metadata import entry_points

    return tuple(sorted({point.value.partition(":")[0] for point in entry_points(group=GROUP)}))


_readers: list[Callable[[], PlatformRules]] = []


def read_rules_by(reader: Callable[[], PlatformRules]) -> None:
    """Say how the rules are read; the last one who does is asked, each time."""
    _readers[:] = [reader]


def platform_rules() -> PlatformRules:
    """Return the rules as they are now."""
    return _readers[0]() if _readers else PlatformRules()


def rules_at_hand() -> PlatformRules:
    """Return the rules where Airflow is loaded, and the defaults elsewhere: for what is allowed by default anyway.

    Reading one's own file in a script or a notebook must not cost an import of Airflow.
    """
    return platform_rules() if "airflow" in sys.modules else PlatformRules()


def is_installed(path: str) -> bool:
    """Whether the package at the top of a dotted path can be imported here; nothing is imported to know it.

    >>> is_installed("os.system"), is_installed("no_such_package.Model")
    (True, False)
    """
    from importlib.util import find_spec

    top = path.partition(".")[0]
    try:
        return top in sys.modules or find_spec(top) is not None
    except ValueError:  # a module without a specification, such as __main__, is there
        return True
