"""What a specification asks for, and the platform does not allow: the part of loading that is not about the file."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from airflow_mlops.spec.errors import MOST_TOLD
from airflow_mlops.spec.named_code import problems_of_code
from airflow_mlops.spec.sql_names import problems_of_schemas

if TYPE_CHECKING:
    from airflow_mlops.spec.model import ModelSpec
    from airflow_mlops.spec.problems import Problem


def problems_of_platform(spec: ModelSpec, *, everything: bool = False) -> tuple[Problem, ...]:
    """Return the first of the names that are not allowed: of code, of places on a disk, and of databases' schemas.

    Parameters
    ----------
    everything
        Also of packages that are not installed here; see :func:`~airflow_mlops.spec.named_code.problems_of_code`.
    """
    found = chain(problems_of_code(spec, everything=everything), problems_of_schemas(spec))
    return tuple(islice(found, MOST_TOLD))
