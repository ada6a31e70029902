"""Encoders, pooling, heads, losses and the classifier made of them (torch).

`import ottenok.models` is all that transformers' own tools need to open a classifier of ottenok's own kind.
"""

from ottenok.models import classifier as _classifier  # noqa: F401 - registers the kind with transformers
