"""Numbers as phrases. No number here is written by hand: each is looked up."""

from collections.abc import Sequence


def percent(share: float, digits: int = 0) -> str:
    """A share as a percentage: 0.17 -> 17 %."""
    return f"{_number(100 * share, digits)} %"


def gain(speedup: float, digits: int = 0) -> str:
    """A speedup as a signed percentage: 1.17 -> +17 %."""
    return f"{signed(speedup, digits)} %"


def span(first: int, last: int) -> str:
    """A range of whole numbers: 4, or 1 to 4."""
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def listed(items: Sequence[str]) -> str:
    """The items with commas, and an "and" before the last."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def signed(speedup: float, digits: int) -> str:
    """A speedup as a signed percentage without its unit: 1.17 -> +17."""
    value = round(100 * (speedup - 1), digits)
    return "0" if value == 0 else f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _number(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
