"""`carets`: the extension author's command line, one file for what belongs together, loaded when it is used."""

from __future__ import annotations

import importlib

import click

from symphony.cli import run

COMMANDS: dict[str, tuple[str, str]] = {
    "new": ("new", "Begin an extension in a folder of its own"),
    "dev": ("dev", "Play an extension from its folder in the running host, and load it anew when it changes"),
    "test": ("test", "Check an extension and run its tests without a host"),
    "mcp": ("mcp", "Make the functions of an extension from the tools of its MCP server, and pin them"),
    "pack": ("packing", "Pack an extension; the same source gives the same bytes"),
    "sign": ("packing", "Sign a package with your key"),
    "verify": ("packing", "Check that a package is whole and its signature good"),
}
"""Command → (module of this package, help). The module has a click command of the command's name."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The click command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"symphony.cli.carets.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help without importing every command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def carets() -> None:
    """Make extensions: new, dev, test, mcp, pack, sign, verify."""


def main() -> None:
    """The entry point."""
    run(carets, "carets")
