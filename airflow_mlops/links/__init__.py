"""Buttons on the task page: the MLflow run, the report, the model version and its card.

A link is computed on the worker when the task ends, whatever its end: a failed validation links to its report too.
The operator says where it leads by setting an attribute while it runs.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink


class _AttributeLink(BaseOperatorLink):
    """A link whose address stands in an attribute of the operator."""

    name = ""
    attribute = ""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, or an empty text when the task did not get that far."""
        del ti_key
        return str(getattr(operator, self.attribute, "") or "")


class MLflowRunLink(_AttributeLink):
    """The loop run's MLflow run."""

    name = "MLflow run"
    attribute = "run_url"


class ReportLink(_AttributeLink):
    """The stage's report."""

    name = "Report"
    attribute = "report_url"


class ModelVersionLink(_AttributeLink):
    """The registered version."""

    name = "Model version"
    attribute = "version_url"


class ModelCardLink(_AttributeLink):
    """The registered version's model card."""

    name = "Model card"
    attribute = "card_url"
