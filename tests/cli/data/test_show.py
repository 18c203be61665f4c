"""`dmanet-data show` as a user types it."""

import subprocess
import sys

from PIL import Image

from tests.cli.data.commands import RECORDING, refused, run


def test_a_window_becomes_a_picture(cache, tmp_path):
    out = tmp_path / "pictures" / "w.png"
    result = run("show", cache, "--recording", RECORDING, "--window", 12, "-o", out, "--width", 320)
    assert result.exit_code == 0, result.output
    with Image.open(out) as picture:
        assert (picture.format, picture.width) == ("PNG", 320)
        assert picture.height > 180  # 16:9, and the strip with the caption
        assert len(picture.convert("RGB").getcolors(100_000)) > 5
    assert [path.name for path in out.parent.iterdir()] == ["w.png"]


def test_what_is_not_there(cache, tmp_path):
    out = ("-o", tmp_path / "w.png")
    refused("show", cache, "--recording", "a/b/c", "--window", 0, *out, code=2, saying="a/b/c")
    refused("show", cache, "--recording", RECORDING, "--window", 20, *out, code=2, saying="has 20")
    refused(
        "show", cache, "--recording", RECORDING, "--window", 1, *out, "--width", 1,
        code=2, saying="64<=x<=8192",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_it_needs_no_torch(cache, tmp_path):
    code = (
        "import sys; from cli.data import main; "
        "main(sys.argv[1:], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    arguments = [
        "show",
        cache,
        "--recording",
        RECORDING,
        "--window",
        3,
        "-o",
        tmp_path / "w.png",
    ]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
    assert (tmp_path / "w.png").exists()
