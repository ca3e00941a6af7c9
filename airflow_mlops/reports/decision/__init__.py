"""The gate's decision, as a page and in words."""
