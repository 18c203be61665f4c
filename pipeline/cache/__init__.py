"""The pillar cache: its layout, one writer, one reader."""

from pipeline.cache.reader import PillarCache

__all__ = ["PillarCache"]
