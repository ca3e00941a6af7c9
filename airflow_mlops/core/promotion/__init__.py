"""The fifth stage: what serves, who moved it, and the trail of it."""
