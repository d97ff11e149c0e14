"""Text for people: lengths of time, sizes, and what somebody else wrote. For whatever prints."""


def duration(seconds: float) -> str:
    """A length of time."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(value: float) -> str:
    """So many bytes."""
    for unit_size, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit_size:
            return f"{digits(value / unit_size)} {unit}"
    return f"{value:.0f} bytes"


def digits(value: float) -> str:
    """A number with three digits, or as many as it has before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def printable(text: str) -> str:
    """Text of somebody else's, such as a name, without what would steer the terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
