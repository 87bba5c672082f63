"""A Player whose calls wait for the host, and one that takes what it is given."""

from symphony.sdk import player


@player.function
def work(ctx, value=None):
    return {"value": value}


@player.function
def wait(ctx, path):
    return {"value": ctx.read(path)}


@player.function
def measure(ctx, content):
    return {"value": len(content)}


player.serve()
