"""Simulated recordings in the release's format: scenes, an event camera, planted defects."""
