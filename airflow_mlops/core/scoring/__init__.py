"""The sixth stage: predictions of the champion, and the log of them."""
