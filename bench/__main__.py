"""Entry point of the command line: what comes before its commands are loaded, and after."""

import gc
import os
import signal
import sys

from bench import BadInput
from bench.launch import early, launch


def interrupt(_signal: int, _frame: object) -> None:
    """SIGTERM ends a run as Ctrl-C does."""
    raise KeyboardInterrupt


def needs_nodes(words: list[str]) -> bool:
    """Whether a command line is likely to need node processes."""
    return words[:1] == ["run"] and not any("simulate" in word for word in words)


def main() -> None:
    """Entry point of `election-bench`; a traceback never reaches a user."""
    gc.set_threshold(50_000)  # modules stay: to look for garbage among them took a tenth of the start
    sys.path.insert(0, os.getcwd())  # for algorithms of the user's own
    signal.signal(signal.SIGTERM, interrupt)
    try:
        if needs_nodes(sys.argv[1:]):
            early.append(launch())  # a profile may still say otherwise: then it ends with this process
        code = speak()
    except KeyboardInterrupt:
        print("election-bench: interrupted", file=sys.stderr)
        code = 130
    gc.freeze()  # or the end looks for garbage among the modules: 16 to 40 ms of each command
    sys.exit(code)


def speak() -> int:
    """Carry out the command, and say what was wrong with it; returns the exit code."""
    import click

    from bench.cli import cli

    try:
        return cli.main(standalone_mode=False) or 0
    except SystemExit as end:
        return int(end.code or 0)
    except BadInput as error:
        click.echo(f"election-bench: {error}", err=True)
        return 2
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        command = context.command_path if context is not None else "election-bench"
        lists = (
            " Lists are written with commas, without blanks." if "unexpected extra" in error.format_message() else ""
        )
        click.echo(f"election-bench: {error.format_message().rstrip('.')}.{lists} See: {command} --help", err=True)
        return 2
    except click.Abort:  # by Ctrl-C, while a command ran
        click.echo("election-bench: interrupted", err=True)
        return 130
    except BrokenPipeError:
        sys.stdout = None  # whoever read it has gone; nothing more can be said there
        return 0
    except Exception as error:
        from bench.blame import PageError
        from bench.engines.processes import HarnessError

        if isinstance(error, HarnessError):
            click.echo(f"election-bench: the harness failed: {error}", err=True)
            return 3
        if os.environ.get("ELECTION_BENCH_TRACEBACK"):
            raise
        if isinstance(error, PageError):
            click.echo(f"election-bench: {error}", err=True)
            return 1
        reason = f"{type(error).__name__}: {error}"
        click.echo(f"election-bench: the harness failed: {reason} (ELECTION_BENCH_TRACEBACK=1 shows where)", err=True)
        return 3


if __name__ == "__main__":
    main()
