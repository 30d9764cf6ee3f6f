"""Tables of a profile that say how well it is known. People read them, and nothing else does.

[fitted_to]       the trace's digest, its requests, tokens or steps
[held_out]        goodness of fit on requests that the fit did not see
[other_lengths]   tokens per step at other draft lengths than were recorded, and how well the fit knows them
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit

KEYS = {"fitted_to", "held_out", "other_lengths"}
Row = Mapping[str, Any]  # None where there is no such number


def table(name: str, said: Row, rows: Sequence[Row] = ()) -> str:
    """The TOML of one table: `said`, then `rows`, each on a line of its own."""
    lines = [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in said.items())]
    if rows:
        lines += ["rows = [", *(f"  {_inline(row)}," for row in rows), "]"]
    return "\n".join(lines) + "\n"


def _inline(row: Row) -> str:
    return "{" + ", ".join(f"{key} = {_value(value)}" for key, value in row.items() if value is not None) + "}"


def _value(value: Any) -> str:
    """TOML of a value; figures have four digits."""
    if isinstance(value, float):
        return repr(float(f"{value:.4g}"))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return tomlkit.item(value).as_string()
