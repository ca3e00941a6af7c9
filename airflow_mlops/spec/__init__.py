"""What a model's loop is: the specification, its parts, and how it is read.

This floor imports pydantic and yaml only, because every parse of a DAG file pays for it.
"""

from airflow_mlops.spec.load import apply_overrides, load_spec, parse_spec
from airflow_mlops.spec.model import ModelSpec
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
