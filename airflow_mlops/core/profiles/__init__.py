"""The distribution of a window, counted in bins that were frozen with the reference."""
