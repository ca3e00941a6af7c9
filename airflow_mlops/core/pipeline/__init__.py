"""The model that is trained and that scores: features, estimator, predictions, the types that may be loaded."""
