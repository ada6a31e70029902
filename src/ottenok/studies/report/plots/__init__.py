"""The plots, one module per kind; each gives pictures and the numbers in them."""
