"""What a release holds (manifests), and choosing a part of it."""
