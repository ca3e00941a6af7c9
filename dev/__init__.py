"""The whole stack on one machine: PostgreSQL, MLflow and Airflow as real processes, and the demo that runs on them."""
