"""Model files: how they are written, audited and loaded."""
