"""The second stage: whether rows may be trained on."""
