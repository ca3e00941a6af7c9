"""Metrics, by name, as functions of labels, predictions and row weights."""
