"""The pillar cache: its layout, one writer, one reader."""
