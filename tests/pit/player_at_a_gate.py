"""A Player whose calls last until the test opens a gate, and that ends, at each start, once it is told to."""

import os
import pathlib
import threading
import time

from symphony.sdk import player

FOLDER = pathlib.Path("/extension")


@player.function
def wait(ctx, gate="gate", value=None):
    while not (FOLDER / gate).exists():
        time.sleep(0.005)
    return {"value": gate}


def end_when_told() -> None:
    while not (FOLDER / "short-lived").exists():
        time.sleep(0.005)
    os._exit(3)


threading.Thread(target=end_when_told, daemon=True).start()

player.serve()
