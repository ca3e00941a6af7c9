"""Rows in files: Parquet and CSV."""
