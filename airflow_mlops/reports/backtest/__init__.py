"""A backtest, as a page and as tables."""
