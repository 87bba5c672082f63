"""Pure data that all layers share: port types, Players, runs, artifacts."""
