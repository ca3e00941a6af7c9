"""Whether a stored model serves, tried in a fresh interpreter."""
