"""Recipes, data for the trainer, and the training run itself (torch)."""
