"""Recordings of event cameras to shards, by the release's rules."""
