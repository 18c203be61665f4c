"""Compile jittor and its common operators once: `python -m dmanet_jittor.set_up` (minutes)."""

import sys
import time

from dmanet_jittor.environment import has_onednn, jittor_home, lay_out_onednn


def main() -> None:
    """Lay out oneDNN where it is installed, import jittor, and compute with it."""
    began = time.perf_counter()
    home = jittor_home()
    home.mkdir(parents=True, exist_ok=True)
    lay_out_onednn(home)
    from dmanet_jittor.framework import jt

    image = jt.ones((1, 8, 16, 16))
    total = jt.nn.conv2d(image, jt.ones((8, 8, 3, 3)), padding=1).sum().item()
    expected = (
        8 * 8 * (3 * 14 + 2 * 2) ** 2
    )  # ones: each side's inner cells see three, its ends two
    if total != expected:
        sys.exit(f"jittor computes {total} where {expected} is right; remove {home} and try again.")
    kind = "with oneDNN" if has_onednn(home) else "without oneDNN (slower; install libdnnl-dev)"
    print(
        f"jittor {jt.__version__} {kind}, compiled in {home}: {time.perf_counter() - began:.0f} s."
    )


if __name__ == "__main__":
    main()
