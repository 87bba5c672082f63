"""A Player whose calls say that they are under way, and can be held until it is killed."""

import threading
import time

from symphony.sdk import player


@player.function
def work(ctx, value=None, hold=False, seconds=0.0):
    ctx.progress(0.5, "under way")
    if hold:
        threading.Event().wait()
    time.sleep(seconds)
    return {"value": value}


@player.function
def outlive(ctx, deaths=1):
    ctx.progress(0.5, str(ctx.attempt))
    if ctx.attempt <= deaths:
        threading.Event().wait()
    return {"value": [ctx.attempt, ctx.idempotency_key]}


player.serve()
