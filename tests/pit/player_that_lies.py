"""A Player that does not check what it answers: the host has to."""

from symphony.sdk import player
from symphony.sdk.declared import DeclaredOutputs

DeclaredOutputs.check = lambda self, function, port, value: None


@player.function
def say(ctx, value=None):
    return {"items": value}


player.serve()
