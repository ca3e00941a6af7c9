"""The loop's stages, one module and one verb each: frozen records in, frozen records out.

No Airflow, no MLflow and no network on this floor. Heavy libraries are imported inside functions.
"""
