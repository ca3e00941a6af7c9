"""The first stage: the immutable rows of one window."""
