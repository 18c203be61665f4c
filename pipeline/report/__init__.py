"""The statistics as one HTML page."""
