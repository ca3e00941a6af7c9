"""Inference: the paired block bootstrap, comparisons of two samples, power, several tests at once."""
