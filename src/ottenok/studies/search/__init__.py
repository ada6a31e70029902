"""Search for a better recipe with Optuna: what may change, the trials, what came out."""
