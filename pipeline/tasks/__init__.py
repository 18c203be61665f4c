"""One task for each recording, done here, by processes of this machine, or on a dask cluster."""
