"""Streaming a network over recordings, and scoring what it finds under named protocols."""
