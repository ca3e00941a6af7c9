"""Validation alone, in a DAG that has no model: any file, frame-returning callable or SQL table."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_mlops.operators import DataValidationOperator

with DAG(
    dag_id="validation_alone",
    schedule=None,
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    default_args={"owner": "data-platform"},
    tags=["mlops", "example"],
    doc_md=__doc__,
):
    DataValidationOperator(
        task_id="flights_are_plausible",
        source="data/flights/",
        expectations=[
            {"expect": "row_count", "min": 100_000},
            {"expect": "unique", "column": "flight_id"},
            {"expect": "not_null", "columns": ["carrier", "origin", "dest"]},
            {"expect": "between", "column": "distance", "min": 1, "max": 6000},
            {"expect": "expect_column_values_to_be_in_set", "column": "origin", "value_set": ["EWR", "JFK", "LGA"]},
            {"expect": "not_null", "column": "temp", "mostly": 0.99, "severity": "warning"},
        ],
    )
