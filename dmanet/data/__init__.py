"""Windows of a cache to batches of pillars: sampling, joining, unpacking, augmenting."""
