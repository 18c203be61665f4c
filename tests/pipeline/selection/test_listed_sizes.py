import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.selection.listed_sizes import read_sizes

A = "train/trainfilelist00/events/a, b;c 1/ev001.npz"
B = "val/valfilelist03/events/b/ev012.npz"
FORMS = {
    "rclone lsl": f"  9000000 2021-01-01 12:00:00.000000000 {A}\n"
    f"     1234 2021-01-01 12:00:00.000000000 DLUT/{B}\n"
    "        5 2021-01-01 12:00:00.000000000 readme.txt\n",
    "rclone lsf": f"train/;-1\n{A};9000000\n./{B};1234\nreadme.txt;5\n",
    "ls -lR": "/data/DLUT:\ntotal 12\ndrwxr-xr-x 3 me us 4096 Nov 24 12:00 train\n"
    "-rw-r--r-- 1 me us 5 Nov 24 12:00 readme.txt\n\n"
    "/data/DLUT/train/trainfilelist00/events/a, b;c 1:\ntotal 9000\n"
    "-rw-rw-r--. 1 me domain-users 9000000 Feb  3  2021 ev001.npz\n\n"
    "/data/DLUT/val/valfilelist03/events/b:\ntotal 4\n"
    "-rw-r--r-- 1 1000 1000 1234 2021-02-03 12:00:00.123456789 +0100 ev012.npz\n",
    "table": f'path,bytes\n"{A}",9000000\n{B},1234\nreadme.txt,5\n',
}


def listing(tmp_path, text):
    path = tmp_path / "listing.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_form_is_told_by_its_content(tmp_path, form, ending):
    path = tmp_path / "listing.txt"
    path.write_bytes(FORMS[form].replace("\n", ending).encode("utf-8-sig"))
    sizes = read_sizes(path)
    assert sizes.bytes == {
        "train/trainfilelist00/a, b;c 1": {1: 9_000_000},
        "val/valfilelist03/b": {12: 1234},
    }
    assert len(sizes) == 2


@pytest.mark.parametrize("form", FORMS)
def test_a_line_that_fits_no_form_is_named(tmp_path, form):
    lines = FORMS[form].splitlines()
    path = listing(tmp_path, "\n".join([*lines, "9.0M  ev003.npz"]))
    with pytest.raises(DataError, match=rf"listing\.txt, line {len(lines) + 1}: the lines before"):
        read_sizes(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lists no event file"),
        ("nothing of the kind\n", "line 1: it fits none"),
        (f"{A};12\n{A};13\n", "line 2: .* stood there before with another size"),
        (f"{B},12 kB\n", "line 1: it fits none"),
        (f"{B},{10**17}\n", "beyond any disk"),
        ("train/trainfilelist00/labels/a/lb001.npz;12\n", "lists no event file"),
        ("x" * 100_000, "longer than any path"),
        (f"{B};12\n\0\n", "line 2: the lines before"),
    ],
)
def test_what_is_no_listing_is_refused_in_one_sentence(tmp_path, text, said):
    with pytest.raises(DataError, match=said) as caught:
        read_sizes(listing(tmp_path, text))
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "listing.txt"
    path.write_bytes(b"\xff\xfe\0")
    with pytest.raises(DataError, match="not UTF-8"):
        read_sizes(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_changed_listings_are_read_or_refused(tmp_path_factory, data):
    text = list(data.draw(st.sampled_from(sorted(FORMS.values()))))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place] = data.draw(
            st.sampled_from(["", "\n", ";", ",", '"', ":", " ", "9", "x", "\0"])
        )
    try:
        sizes = read_sizes(listing(tmp_path_factory.mktemp("listing"), "".join(text)))
    except DataError:
        return
    assert all(0 <= size < 1 << 50 for of in sizes.bytes.values() for size in of.values())
