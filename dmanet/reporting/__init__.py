"""Showing what came out: tables of runs, pictures of detections."""
