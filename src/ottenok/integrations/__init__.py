"""ottenok in other people's code: the call shapes of transformers, scikit-learn, data frames, MLflow, spaCy."""
