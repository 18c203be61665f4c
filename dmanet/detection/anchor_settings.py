"""Settings of the anchors, which the data report knows too: they stand where both can reach them."""

from pipeline.anchors.settings import AnchorSettings

__all__ = ["AnchorSettings"]
