"""Raw data sets to one harmonised corpus: cards, readers, fetching, cleaning, splitting, balancing, statistics."""
