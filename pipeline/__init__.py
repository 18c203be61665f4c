"""Files in, pillar cache out. This package never imports torch."""
