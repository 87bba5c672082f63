"""A Player that says as much as it is told to, as quickly as it can."""

from symphony.sdk import player


@player.function
def work(ctx, value=None):
    return {"value": value}


@player.function
def pour(ctx, pieces, size=1000):
    """Numbered pieces of its output."""
    for number in range(pieces):
        ctx.output([number, "x" * size])
    return {"value": pieces}


@player.function
def log(ctx, lines, size=1000):
    """Numbered lines of its log."""
    for number in range(lines):
        ctx.log("x" * size, number=number)
    return {"value": lines}


@player.function
def ask(ctx, size=1 << 20):
    """A request of which nothing is answered, over and over."""
    import threading

    def once():
        ctx._host.request(None, "fs.write", {"path": "x", "content": b"x" * size})

    threads = [threading.Thread(target=once, daemon=True) for _ in range(200)]
    for thread in threads:
        thread.start()
    threads[0].join()
    return {"value": None}


player.serve()
