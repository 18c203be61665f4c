"""Anchor boxes: their sizes, how well they fit a data set, and which would fit it better."""
