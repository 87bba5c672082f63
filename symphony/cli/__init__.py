"""The command line: `symphony`, one file a command."""
