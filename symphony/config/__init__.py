"""Layered configuration: defaults, user, project, environment, flags, under one schema."""
