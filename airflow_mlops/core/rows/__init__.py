"""Rows and what they are: windows of time, columns, types, keys, labels, weights, slices."""
