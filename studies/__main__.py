"""The entry point: loads the command line, which takes a second, so that Ctrl-C is answered from the start."""

import sys


def main() -> None:
    """Run the command line; exit with 130 where it is interrupted while loading."""
    try:
        if sys.argv[1:2] == ["report"]:
            from studies.cli_report import main as command_line
        else:
            from studies.cli import main as command_line
    except KeyboardInterrupt:
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
