"""The host's methods, one file a subject; together they are the HostPort."""
