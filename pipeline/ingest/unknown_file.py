"""What a file that is no recording looks like, by its first bytes, for a message."""

#: How many bytes :func:`looks_like` wants.
FIRST_BYTES = 16

# What files begin with; those of a picture or a film are given by people who look for its events.
_BEGINS = {
    b"#!AER-DAT3": "AEDAT 3",
    b"#!AER-DAT2": "AEDAT 2",
    b"#!AER-DAT1": "AEDAT 1",
    b"#ROSBAG": "a ROS bag",
    b"Event Stream": "an Event Stream file",
    b"PK\x03\x04": "a zip or npz archive",
    b"\x93NUMPY": "a numpy array",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"RIFF": "a RIFF file",
    b"\x1aE\xdf\xa3": "a Matroska film",
    b"SQLite": "a database",
    b"\x89MCAP": "an MCAP file",
}


def looks_like(begin: bytes) -> str:
    """A part of a sentence, such as ``it looks like a ROS bag``.

    Args:
        begin: the file's first bytes, :data:`FIRST_BYTES` or all it has.
    """
    if not begin:
        return "it is empty"
    for mark, name in _BEGINS.items():
        if begin.startswith(mark):
            return f"it looks like {name}"
    if begin[4:8] == b"ftyp":
        return "it looks like an MP4 film"
    if not begin.strip(b"\x00"):
        return "it begins with zeros, as a download that was not finished"
    line = begin.split(b"\r")[0].split(b"\n")[0]
    if line.isascii() and line.decode().isprintable():
        return f"it looks like text, “{line.decode()}…”"
    return f"it begins with the bytes {begin[:8].hex(' ')}"
