"""Streams whose truth is known, each through the whole backtest: what the loop decides, beside what would be right."""
