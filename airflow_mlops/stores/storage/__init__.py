"""Snapshots, predictions and reports: a folder or an object store."""
