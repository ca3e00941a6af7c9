"""The parts of a stored model that are our own: how source columns become what it was trained on, and its labels.

A stored model must be servable where neither this project nor Airflow is installed, so this package stands by itself:
it needs numpy, pandas and scikit-learn, imports nothing of `airflow_mlops`, and is small enough to be stored with each
model (MLflow's ``code_paths``). Paths and attributes of its classes are on disk with every model: a class may be added,
and an attribute with a default, but none is renamed or removed. Nothing is imported here: how a category is written is
asked where scikit-learn must not be loaded.
"""
