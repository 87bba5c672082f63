"""The Conductor: a prompt and its context in, a valid Melody out."""
