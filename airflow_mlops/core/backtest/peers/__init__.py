"""Published policies of retraining, each from its paper, beside which the specification's own can be seen.

A peer has no gate: what it trains is promoted. It decides by what `KnownLosses` hands out, and by nothing else.
"""
