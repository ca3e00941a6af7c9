"""The third stage: fit a candidate, and what is frozen with it."""
