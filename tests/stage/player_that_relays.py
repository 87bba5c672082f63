"""A Player that calls others, and counts how often it was called."""

from symphony.sdk import PlayerFailure, player

served = []


@player.function
def work(ctx, value):
    served.append(value)
    return {"value": ["worked", value]}


@player.function
def fail(ctx):
    raise PlayerFailure("it was asked to", remedy="ask for something else", code="unavailable")


@player.function
def count(ctx):
    """How often it has worked."""
    return {"value": len(served)}


@player.function
def relay(ctx, target, params):
    """What another function gives, or what it is refused with."""
    try:
        return {"value": ctx.call(target, params=params)["value"]}
    except PlayerFailure as failure:
        return {"value": {"code": failure.code, "message": str(failure), "remedy": failure.remedy}}


player.serve()
