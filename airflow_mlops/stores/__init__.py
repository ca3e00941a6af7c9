"""Where things live: rows in files, object stores and databases; models and records in MLflow.

Each module implements a protocol that core declares. Heavy libraries and Airflow are imported inside functions.
"""
