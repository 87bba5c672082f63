"""Layered configuration: defaults, user, project, environment, flags, under one schema."""

from typing import TYPE_CHECKING, Any

from symphony.config.home import Home

if TYPE_CHECKING:
    from symphony.config.configuration import Configuration

__all__ = ["Configuration", "Home"]


def __getattr__(name: str) -> Any:
    """`Configuration`, loaded when it is first asked for: most commands ask a running host and read no setting."""
    if name != "Configuration":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from symphony.config.configuration import Configuration

    globals()[name] = Configuration
    return Configuration
