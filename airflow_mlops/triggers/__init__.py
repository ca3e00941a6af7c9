"""Triggers: what the triggerer watches while no worker is held."""
