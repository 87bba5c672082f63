"""The sandbox, attacked and used, as the superuser and as an ordinary user."""
