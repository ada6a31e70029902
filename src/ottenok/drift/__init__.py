"""What has changed: the true shares of labels behind a classifier's answers, and two sets of texts side by side."""
