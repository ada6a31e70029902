"""What most people write: FastAPI, and a pipeline of transformers that is called with each request's text.

Run by `benchmarks/serving.py` with the model's folder and the port.
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

classify = pipeline("text-classification", model=sys.argv[1], top_k=None)
app = FastAPI()


class Body(BaseModel):
    """A text."""

    inputs: str


@app.post("/predict")
def predict(body: Body) -> list[dict[str, float | str]]:
    """Classify it."""
    return classify(body.inputs, truncation=True)[0]


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
