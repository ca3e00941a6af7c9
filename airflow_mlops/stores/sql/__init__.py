"""Rows in databases."""
