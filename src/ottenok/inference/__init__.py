"""Prediction without torch: tokens, batches, backends, the predictor, files in bulk."""
