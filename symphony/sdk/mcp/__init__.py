"""Runs an MCP server as an extension: its tools are the functions, pinned to the definitions that were agreed to."""
