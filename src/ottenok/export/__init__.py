"""A trained classifier to ONNX, quantised, with its parity checks (torch)."""
