"""Airflow hooks: connections to the systems that the loop keeps its records in."""
