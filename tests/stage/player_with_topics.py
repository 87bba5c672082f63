"""A Player that publishes and hears what it is told to, and asks past the SDK."""

import time

from symphony.sdk import PlayerFailure, player


@player.function
def speak(ctx, topic, count=1, wait=0.0, size=0):
    """Publishes 0, 1, … and "end"; how many messages went for it."""
    value = "x" * size
    return {"value": sum(ctx.publish(topic, [n, value], wait=wait)[1] for n in [*range(count), "end"])}


@player.function
def say(ctx, topic):
    """Publishes what nobody counts; how many subscriptions there are."""
    return {"value": ctx.publish(topic, "begin")[0]}


@player.function
def hear(ctx, topic, queue=256, nap=0.0):
    """All that is heard until the end: what, from whom, and how many were missed."""
    heard = []
    missed = 0
    senders = set()
    with ctx.subscribe(topic, queue=queue) as messages:
        for message in messages:
            missed += message.missed
            senders.add(message.sender)
            if message.value == "begin":
                continue
            if message.value[0] == "end":
                break
            heard.append(message.value[0])
            time.sleep(nap)
    return {"value": {"heard": heard, "missed": missed, "senders": sorted(senders)}}


@player.function
def ask(ctx, method, body):
    """A bare request; the code of its refusal."""
    try:
        ctx._ask(method, body)
    except PlayerFailure as failure:
        return {"value": failure.code}
    return {"value": "done"}


player.serve()
