"""The Player of the run loop's tests: each function does one thing that a run must cope with."""

import os
import signal
import sys
import time

from symphony.sdk import PlayerFailure, player


@player.function
def echo(ctx, value=None, items=None):
    return {"value": value if items is None else items}


@player.function
def join(ctx, left, right, by=" "):
    return {"value": f"{left}{by}{right}"}


@player.function
def text(ctx, body="# Title"):
    return {"report": body}


@player.function
def who(ctx):
    return {"value": [ctx.run, ctx.node, str(ctx.project)]}


@player.function
def has_read_its_manifest(ctx):
    return {"value": "tomllib" in sys.modules}


@player.function
def fail(ctx, code="failed", times=0):
    raise PlayerFailure("It does not work", remedy="try something else", code=code)


@player.function
def key(ctx, fails=1):
    if ctx.attempt <= fails:
        raise PlayerFailure(ctx.idempotency_key)
    return {"value": ctx.idempotency_key}


@player.function
def slow(ctx, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ctx.cancelled:
            raise PlayerFailure("stopped", code="cancelled")
        time.sleep(0.01)
    return {"value": seconds}


@player.function
def hang(ctx):
    while True:
        time.sleep(1)


@player.function
def die(ctx):
    os.kill(os.getpid(), signal.SIGKILL)


@player.function
def leave(ctx):
    os._exit(3)


@player.function
def talk(ctx):
    ctx.progress(0.5, "half")
    ctx.log("said", level="warning")
    return {"value": ctx.read("file.txt").decode()}


@player.function
def noop(ctx):
    return {}


if "--broken" in sys.argv:
    raise RuntimeError("broken")

player.serve()
