"""The rule on groups of people."""
