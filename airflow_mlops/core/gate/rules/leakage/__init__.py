"""The rule on what a model may not know."""
