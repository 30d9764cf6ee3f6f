"""Read a user's TOML file."""

import tomllib
from pathlib import Path
from typing import Any

from montecarlo.errors import InputError


def read(path: Path, what: str) -> dict[str, Any]:
    """The content of `path`; raises InputError, naming `what` it was meant to be, where that fails."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{what} {path} cannot be read: it does not exist") from error
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{what} {path} is not TOML: {error}") from error
    except ValueError as error:  # not UTF-8, or a path that is none
        raise InputError(f"{what} {str(path)!r} cannot be read: {error}") from error
