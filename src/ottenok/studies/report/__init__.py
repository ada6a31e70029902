"""Reports: a trained classifier's figures as plots and one self-contained HTML page."""
