"""The HTTP server: wire formats that existing clients speak, batching across requests, limits and keys."""
