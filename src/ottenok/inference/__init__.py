"""Prediction without torch: tokens, batches, backends, the classifier, files in bulk."""
