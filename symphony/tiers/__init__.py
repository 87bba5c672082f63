"""Where artifacts are kept beside the store, and how they get there and back without ever being lost."""
