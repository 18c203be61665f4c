"""Shards to pillar cache: a run over many recordings, safe to stop at any moment."""
