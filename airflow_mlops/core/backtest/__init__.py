"""The whole loop, replayed over history."""
