"""Finds Python code that nothing uses, with vulture."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def find(files: Iterable[tuple[str, str]], confidence: int) -> list[dict[str, object]]:
    """Rows of type code/unused for all `(path, text)` together, the surest and longest first.

    Files that Python cannot parse are passed over: what they use is unknown, and lint reports them.
    """
    from vulture import Vulture

    finder: Any = Vulture()
    for path, text in files:
        # vulture reports what it cannot parse on the standard streams.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            finder.scan(text, filename=Path(path))
    rows: list[dict[str, object]] = [
        {
            "file": Path(item.filename).as_posix(),
            "line": item.first_lineno,
            "kind": item.typ.replace("_", " "),
            "name": item.name,
            "confidence": item.confidence,
            "lines": item.size,
        }
        for item in finder.get_unused_code(min_confidence=confidence)
    ]
    return sorted(
        rows,
        key=lambda r: (
            -int(str(r["confidence"])),
            -int(str(r["lines"])),
            str(r["file"]),
            int(str(r["line"])),
        ),
    )
