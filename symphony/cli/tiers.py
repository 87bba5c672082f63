"""The commands of `symphony artifacts` about where artifacts are kept."""

from __future__ import annotations

import sys
from typing import Any

import click

from symphony.cli.connection import ask
from symphony.cli.output import Mode, common, say
from symphony.cli.tables import table
from symphony.errors import BadInput
from symphony.types.quantities import readable_size

TIERS = ("active", "archive", "cloud")


@click.command()
@common
def tiers(mode: Mode) -> None:
    """The tiers: the store, the archive, the cloud; what each holds and whether it answers."""
    answer = ask(lambda port: port.artifact_tiers())

    def text() -> None:
        rows = [
            (
                row["name"],
                row["artifacts"],
                readable_size(row["bytes"]),
                row["status"],
                row["detail"] if row["status"] != "ok" else row["place"],
            )
            for row in answer["tiers"]
        ]
        table(("tier", "artifacts", "size", "", ""), [tuple(map(str, row)) for row in rows])

    mode.show(answer, text)
    sys.exit(3 if any(row["status"] == "failed" for row in answer["tiers"]) else 0)


@click.command()
@click.argument("names", metavar="[ARTIFACT]…", nargs=-1)
@click.option("--to", "target", type=click.Choice(TIERS), help="Bring these artifacts there.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and why.")
@common
def tier(mode: Mode, names: tuple[str, ...], target: str | None, dry_run: bool) -> None:
    """Do what the retention plan says now, or bring each ARTIFACT to a tier."""
    if bool(names) != bool(target):
        raise BadInput("ARTIFACT and --to go together", remedy="give both, or none for the whole plan")
    answer = ask(lambda port: port.tier_artifacts(dry_run, list(names), target or ""))
    mode.show(answer, lambda: _tell(answer, dry_run))
    sys.exit(1 if answer["failures"] else 0)


def _tell(answer: dict[str, Any], dry_run: bool) -> None:
    actions = answer["actions"]
    for action in actions:
        size = readable_size(action["bytes"])
        say(f"{action['action']} {action['name']} ({size}, {action['from']}): {action['reason']}")
    for failure in answer["failures"]:
        say(f"{failure['name']}: {failure['message']}; {failure['remedy']}", err=True)
    if not actions:
        say("Everything is where the policy wants it.")
    elif not dry_run:
        say(f"{answer['done']} of {len(actions)} done, {readable_size(answer['bytes'])}")


@click.command()
@click.argument("artifact")
@common
def pin(mode: Mode, artifact: str) -> None:
    """Keep ARTIFACT where it is."""
    answer = ask(lambda port: port.pin_artifact(artifact, True))
    mode.show(answer, lambda: say(f"{artifact} stays where it is."))


@click.command()
@click.argument("artifact")
@common
def unpin(mode: Mode, artifact: str) -> None:
    """Let the policy decide about ARTIFACT again."""
    answer = ask(lambda port: port.pin_artifact(artifact, False))
    mode.show(answer, lambda: say(f"The policy decides about {artifact} again."))


@click.command()
@click.argument("artifact")
@click.option("--reason", required=True, help="Why; it is shown to whoever tries to delete it.")
@common
def hold(mode: Mode, artifact: str, reason: str) -> None:
    """Forbid everybody to delete ARTIFACT, until `release`."""
    answer = ask(lambda port: port.hold_artifact(artifact, reason))
    mode.show(answer, lambda: say(f"{artifact} is held: {reason}"))


@click.command()
@click.argument("artifact")
@common
def release(mode: Mode, artifact: str) -> None:
    """Lift the hold of ARTIFACT."""
    answer = ask(lambda port: port.hold_artifact(artifact, None))
    mode.show(answer, lambda: say(f"{artifact} is not held any more."))


COMMANDS = (tiers, tier, pin, unpin, hold, release)
