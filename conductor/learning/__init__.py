"""Learning from use, safely: what was decided and how it went, which policy may decide next, and the way back."""
