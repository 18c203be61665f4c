"""Numbers as a reader wants them: grouped digits, short forms, shares, sizes, durations."""

import math

_THIN = "\u202f"  # narrow no-break space
_ABSENT = "–"


def grouped(value: float | None) -> str:
    """``1234567`` → ``1 234 567``; an absent number is a dash."""
    if value is None:
        return _ABSENT
    return f"{value:,.0f}".replace(",", _THIN)


def short(value: float | None) -> str:
    """Up to three significant digits with k, M, G: ``1234567`` → ``1.23 M``."""
    if value is None:
        return _ABSENT
    size = abs(value)
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= factor * 0.9995:
            return f"{_three_digits(value / factor)}{_THIN}{unit}"
    return _three_digits(value)


def _three_digits(value: float) -> str:
    value = float(f"{value:.3g}")
    if value == round(value):
        return f"{value:.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 6)}f}"


def share(part: float, whole: float = 1.0) -> str:
    """``part`` of ``whole`` in percent; a dash when there is no whole."""
    if not whole:
        return _ABSENT
    percent = 100 * part / whole
    if percent == 0 or percent >= 99.95:
        return f"{percent:.0f}{_THIN}%"
    if percent < 0.05:
        return f"<{_THIN}0.1{_THIN}%"
    return f"{percent:.1f}{_THIN}%" if percent < 99 else f"{percent:.2f}{_THIN}%"


def size(count: int | None) -> str:
    """Bytes in decimal units: ``9100000`` → ``9.10 MB``."""
    if count is None:
        return _ABSENT
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{_three_digits(value)}{_THIN}{unit}"
        value /= 1000
    return f"{_three_digits(value)}{_THIN}TB"


def duration(seconds: float) -> str:
    """``4500`` → ``1 h 15 min``."""
    if seconds < 60:
        return f"{seconds:.{1 if 0 < seconds < 9.95 else 0}f}{_THIN}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes}{_THIN}min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{_THIN}h" + (f" {minutes}{_THIN}min" if minutes else "")


def listed(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 window``, ``2 windows``."""
    return f"{grouped(number)} {noun if number == 1 else plural or noun + 's'}"


def is_unicode(text: str) -> bool:
    """Whether a name can be written as text: one of a file may have bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """A name as it can be shown anywhere: bytes that are not UTF-8 stand as their codes."""
    return name.encode(errors="backslashreplace").decode()
