"""The embedded model behind LitServe with its batching.

Run by `benchmarks/serving.py` with the port.
"""

import sys
from typing import Any

import litserve

import ottenok


class Api(litserve.LitAPI):
    """Texts in, probabilities out."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe calls it so
        """Load."""
        self.classifier = ottenok.load()

    def decode_request(self, request: dict[str, Any]) -> str:
        """Return the text."""
        return request["inputs"]

    def predict(self, texts: list[str]) -> list[Any]:
        """Classify a batch."""
        return [dict(answer.probabilities) for answer in self.classifier(texts)]

    def encode_response(self, output: dict[str, float]) -> list[dict[str, Any]]:
        """Return the labels."""
        return [{"label": label, "score": score} for label, score in output.items()]


if __name__ == "__main__":
    api = Api(max_batch_size=64, batch_timeout=0.005, api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
