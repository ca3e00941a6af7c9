"""What a model's loop is: the specification, its parts, and how it is read.

This floor imports pydantic and yaml only, because every parse of a DAG file pays for it. The classes that say what is
wrong load on first use: a right specification has no use of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.spec.load import apply_overrides, load_spec, parse_spec
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError

__all__ = [
    "ModelSpec",
    "Problem",
    "ReasonCode",
    "SpecError",
    "apply_overrides",
    "load_spec",
    "parse_spec",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from airflow_mlops.spec import problems

        return getattr(problems, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
