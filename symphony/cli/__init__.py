"""The command line: `symphony`, one file a command, loaded when it is used."""

from __future__ import annotations

import importlib
import sys

import click

from symphony import __version__
from symphony.cli.output import fail
from symphony.errors import BadInput, Cancelled, SymphonyError

COMMANDS: dict[str, tuple[str, str]] = {
    "app": ("window", "Open the desktop application"),
    "serve": ("serve", "Start the host without a window and print the page's address"),
    "run": ("run", "Compose a Melody from a prompt and play it"),
    "compose": ("compose", "Compose a Melody and explain it, without playing"),
    "play": ("play", "Play a Melody from a file or the Polyphony Store"),
    "melody": ("melody", "The Polyphony Store and Melody files"),
    "runs": ("runs", "What was played"),
    "artifacts": ("artifacts", "What was made"),
    "changes": ("changes", "What programs changed in a copy of the project: show, apply, undo"),
    "history": ("history", "What you did, and Symphony for you"),
    "undo": ("history", "Take back the last action, or a named one"),
    "redo": ("history", "Do again what was undone"),
    "ext": ("extensions", "Extensions: list, install, remove, permissions"),
    "config": ("config", "Settings, each with where it came from"),
    "logs": ("logs", "The structured log"),
    "mcp": ("mcp", "Serve compose, run and artifacts to MCP clients"),
    "learning": ("learning", "What was learnt from your runs: show, export, forget, train, rollback"),
    "quest": ("quest", "Function Quest: play a level, compare players, train"),
    "sandbox": ("sandbox", "Run a command in the sandbox of a Player"),
    "doctor": ("doctor", "The health of every part, and what to do about what is missing"),
}
"""Command → (module of this package, help). The module has a click command or group of the command's name."""


class LazyGroup(click.Group):
    """Imports a command's module only when it is called, so that `symphony` starts quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The click command, imported now."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"symphony.cli.{entry[0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help without importing every command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="symphony")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Symphony turns a sentence into work done on your own machine.

    Without a command it opens the desktop application.
    """
    if ctx.invoked_subcommand is None:
        command = ctx.command
        assert isinstance(command, LazyGroup)
        window = command.get_command(ctx, "app")
        assert window is not None
        ctx.invoke(window)


def main() -> None:
    """The entry point of `symphony`."""
    run(cli, "symphony")


def run(command: click.Command, name: str) -> None:
    """Runs a command line: every error becomes one line and the right exit code."""
    arguments = sys.argv[1:]
    as_json, verbose = "--json" in arguments, "--verbose" in arguments
    try:
        command.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.UsageError as error:
        message = error.format_message().rstrip(".")
        help_for = error.ctx.command_path if error.ctx else name
        fail(BadInput(message, remedy=f"see `{help_for} --help`", code="usage"), as_json, verbose)
    except click.ClickException as error:
        fail(BadInput(error.format_message()), as_json, verbose)
    except (click.Abort, KeyboardInterrupt):
        fail(Cancelled("Cancelled"), as_json, verbose)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except SymphonyError as error:
        fail(error, as_json, verbose)
    except Exception as error:
        if verbose:
            raise
        fail(
            SymphonyError(
                f"An unexpected error: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
                remedy="run it again with --verbose and report it",
                code="internal",
            ),
            as_json,
            verbose,
        )
