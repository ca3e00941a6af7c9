"""Say what is wrong with a specification where its DAGs would be."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException


class InvalidSpecOperator(BaseOperator):
    """Fails with the problems of a specification that could not be loaded."""

    def __init__(self, *, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message = message

    def execute(self, context: Any) -> None:
        """Fail, and do not retry."""
        del context
        raise AirflowFailException(self.message)
