"""What a trained classifier is on disk: layout, manifest, checks and model card."""
