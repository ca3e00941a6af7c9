"""Ten months of real flights through the whole loop, on the real stack."""
