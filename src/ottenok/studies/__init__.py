"""Whole ways through the house, for the command line and for Python: evaluate a model beside its baselines."""
