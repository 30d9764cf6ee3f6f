"""How a command ends: one line and exit 2 for the user's mistakes, 1 for a task that failed, 130 for an interrupt."""

import sys

import typer

from montecarlo.errors import InputError, TaskFailed

INTERRUPTED = 130


def run(app: typer.Typer, arguments: list[str], name: str | None = None) -> None:
    """Run a command and exit; a bug shows itself. name: of the command, where it is not the program's."""
    try:
        code = app(args=arguments, standalone_mode=False, prog_name=name)
        if code == INTERRUPTED:  # typer turns Ctrl-C into an exit code
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except (typer.TyperException, InputError) as error:
        _fail(error.format_message() if isinstance(error, typer.TyperException) else str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        kept = "finished work is kept; run the same command again to go on"
        _fail(f"interrupted: {kept if arguments[:1] == ['run'] else 'nothing half-written is left'}", INTERRUPTED)
    except TaskFailed as error:
        _fail(str(error), 1)


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"draftodds: {' '.join(message.split())}\n")
    sys.exit(code)
