"""The learner as a child of the host: lowest priority, JSON lines on its output, gone when the host is."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symphony.errors import SymphonyError

Json = dict[str, Any]

MOST_LINE = 1 << 22
"""Bytes of one line of the learner's output: its answer carries the curve."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learnt from: the learning folder of the home, the weights in use, and the shipped ones."""

    folder: Path
    incumbent: Path
    shipped: Path


def torch_is_there() -> bool:
    """Whether what learning needs is installed; it is not imported."""
    return importlib.util.find_spec("torch") is not None


class Learner:
    """Starts the learner's process and reads what it says."""

    def __init__(self, extensions: Path, encoder: Path, arguments: tuple[str, ...] = ()) -> None:
        """`arguments` are further ones of `conductor.training.online`."""
        self._arguments = ("--extensions", str(extensions), "--encoder", str(encoder), *arguments)
        self.phase = ""

    async def learn(self, lesson: Lesson, heard: Callable[[], None]) -> Json:
        """The learner's answer: `{"version", "curve", "verdict", "audit", …}`; its weights lie in the folder then.

        `heard` is called whenever `phase` says something else. Raises SymphonyError with the learner's own words.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "conductor.training.online",
            "--folder", str(lesson.folder), "--incumbent", str(lesson.incumbent), "--shipped", str(lesson.shipped),
            *self._arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=MOST_LINE,
        )  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        self.phase = "starting"
        errors = asyncio.ensure_future(process.stderr.read())
        answer: Json | None = None
        try:
            async for line in process.stdout:
                said = json.loads(line)
                if "answer" in said:
                    answer = said["answer"]
                elif said["phase"] != self.phase:
                    self.phase = said["phase"]
                    heard()
            code = await process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        finally:
            self.phase = ""
            text = (await errors).decode("utf-8", "replace").strip()
        if code or answer is None:
            last = text.splitlines()[-1] if text else f"it ended with {code}"
            raise SymphonyError(
                f"The learner failed: {last}", remedy="see `symphony logs`", code="learner_failed"
            )
        return answer
