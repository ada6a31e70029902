"""Logits to labels: activation, temperature, thresholds; numpy only, used by every surface alike."""
