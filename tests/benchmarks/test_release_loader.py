"""The baseline of the benchmarks against the reference arrays: it must do the released loader's work."""

import numpy as np

from benchmarks.release_loader import Voxels, voxelize


def as_map(voxels, coords, counts) -> dict:
    return {
        tuple(map(int, cell)): sorted(map(tuple, points[: int(n)].tolist()))
        for cell, points, n in zip(coords, voxels, counts, strict=True)
    }


def test_golden_voxels_are_those_of_the_baseline(golden):
    # Exact; where equal times decide which event of a cell is first, the reference names the cell.
    with np.load(golden / "voxels.npz") as arrays:
        compared = 0
        for group in sorted({name.split("/")[0] for name in arrays.files}):
            events = arrays[f"{group}/events"]
            if len(np.unique(events["t"])) < 2:
                continue  # the release divides by zero there
            found: tuple[Voxels, Voxels] = voxelize(events)
            for name, own in zip(("pos", "neg"), found, strict=True):
                stem = f"{group}/uint32/{name}"
                undefined = {(0, y, x) for y, x in arrays[f"{stem}_tie_ambiguous_yx"].tolist()}
                expected = as_map(
                    arrays[f"{stem}_voxels"],
                    arrays[f"{stem}_coors"],
                    arrays[f"{stem}_num_points"],
                )
                ours = as_map(*own)
                assert ours.keys() - undefined == expected.keys() - undefined, stem
                for cell in ours.keys() - undefined:
                    assert ours[cell] == expected[cell], (stem, cell)
                compared += len(expected)
        assert compared > 1000
