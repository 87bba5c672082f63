"""The ports of the hexagon: what each side may ask of another, as protocols, with doubles for tests."""
