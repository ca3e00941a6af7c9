"""The fourth stage: judge a candidate, and decide."""
