"""The label loop: which text is asked next, answers on disk, two raters, and a page to answer on."""
