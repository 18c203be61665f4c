"""Files of any kind: what may be read, what may be written over, and how it is written whole."""
