"""Which section of the configuration rules each component, and what that section says of its start."""

from __future__ import annotations

from symphony.app.bootstrap import StartPolicy
from symphony.config import Configuration
from symphony.errors import InvalidConfig

SECTIONS = {
    "configuration": "host",
    "settings": "host",
    "extensions": "registry",
    "stage bus": "stage",
    "pool manager": "pit.pool",
    "dag tracker": "pit.dag",
    "artifact store": "pit.store",
    "arbitration engine": "pit.arbitration",
    "stale manager": "pit.stale",
    "history": "engine",
    "actions": "host",
    "audit log": "stage",
    "supervision": "stage",
    "engine": "engine",
    "components": "engine",
    "player template": "stage",
    "tiers": "pit.stale",
    "conductor": "conductor",
    "learning": "conductor",
    "broker": "stage",
    "socket": "host",
    "page": "host",
}
"""Component → section."""

NEEDED = (
    "host",
    "stage",
    "engine",
    "pit.pool",
    "pit.dag",
    "pit.store",
    "pit.arbitration",
    "pit.stale",
)
"""Sections of what the host cannot be without. The others may be switched off: then there is no Conductor,
no model endpoint, no registry.
"""


def start_policy(configuration: Configuration, component: str) -> StartPolicy:
    """`timeout` and `retry_policy` of the component's section."""
    section = SECTIONS[component]
    get = configuration.get
    return StartPolicy(
        timeout=get(f"{section}.timeout"),
        attempts=get(f"{section}.retry_policy.attempts"),
        delay=get(f"{section}.retry_policy.delay"),
        backoff=get(f"{section}.retry_policy.backoff"),
    )


def check_enabled(configuration: Configuration) -> None:
    """Raises InvalidConfig when something is switched off that the host cannot be without."""
    for section in NEEDED:
        if not configuration.get(f"{section}.enabled"):
            raise InvalidConfig(
                f"{section}.enabled is false ({configuration.source(f'{section}.enabled')}), and the host"
                " cannot work without it",
                remedy=f"run `symphony config set {section}.enabled true`",
            )
