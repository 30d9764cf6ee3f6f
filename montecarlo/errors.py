"""The errors a caller is meant to catch: the user's mistake, and a task that failed."""


class InputError(ValueError):
    """What was given cannot be used: one line that says what was given, what is allowed, what to do.

    The command line prints it and exits with 2; every other exception is a defect of the program.
    """


class TaskFailed(Exception):
    """A task of a study raised; the message names it. Finished tasks are kept. The command line exits with 1."""


def whole(what: str, value: object, least: int = 1) -> int:
    """`value` as a whole number of at least `least`; raises InputError, naming `what` it is."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{what} is {value!r}; it must be a whole number of at least {least}")
    return value
