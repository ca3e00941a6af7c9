"""The seventh stage: what drifts, and how well the champion does."""
