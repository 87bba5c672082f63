"""Symphony as an MCP server: other programs compose, play, and read what was made, through the host's port."""
