"""Metrics, intervals and paired tests on numpy arrays: one metric code for torch, ONNX and baselines."""
