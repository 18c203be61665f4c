"""Windows as pictures: cells, boxes and captions, on sheets, as films and in a terminal."""
