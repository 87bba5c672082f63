"""The Conductor: composition, parameters, honesty, boundaries."""
