"""Keep machine-learning models good after launch, with Apache Airflow and MLflow."""

__version__ = "0.1.0"
