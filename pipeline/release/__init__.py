"""The DLUT release on disk: its tree, its shards, what their members and boxes mean."""
