"""The commands `ottenok data ...`."""
