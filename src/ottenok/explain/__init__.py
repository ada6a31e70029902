"""Why a classifier answers as it does: the share of each word in its answer."""
