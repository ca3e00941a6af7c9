"""Whether the rows of a window are still those of the reference."""
