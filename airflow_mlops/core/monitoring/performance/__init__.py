"""Whether the champion still does what the gate expected of it."""
