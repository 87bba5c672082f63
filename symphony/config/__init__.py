"""Layered configuration: defaults, user, project, environment, flags, under one schema."""

from symphony.config.configuration import Configuration
from symphony.config.home import Home

__all__ = ["Configuration", "Home"]
