"""Which rows of labelled data are wrong: labels, copies that contradict each other, leaks between splits, outliers."""
