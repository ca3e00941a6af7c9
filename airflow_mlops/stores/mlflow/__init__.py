"""MLflow, the system of record."""
