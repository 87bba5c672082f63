"""Makes `frontend/src/catalogue.gen.ts` from the catalogue: `python -m symphony.ui.catalogue_types FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from symphony.ui.catalogue import COMPONENTS, SHAPES, TONE

_HEAD = """// Made by `python -m symphony.ui.catalogue_types`; change symphony/ui/catalogue.py instead.
"""


def typescript() -> str:
    """The catalogue as TypeScript: the shapes, and for each component its props and events."""
    parts = [_HEAD, f"export type Tone = {TONE}\n"]
    for name, fields in SHAPES.items():
        lines = "".join(f"  {field}: {ts}\n" for field, ts in fields.items())
        parts.append(f"export interface {name} {{\n{lines}}}\n")
    parts.append("export interface Catalogue {\n")
    for name, component in COMPONENTS.items():
        parts.append(f"  /** {component.doc} */\n  {name}: {{\n    props: {{\n")
        for prop, spec in component.props.items():
            mark = "" if spec.required else "?"
            parts.append(f"      /** {spec.doc} */\n      {prop}{mark}: {spec.ts}\n")
        parts.append("    }\n    events: {\n")
        parts.extend(f"      {event}: {ts}\n" for event, ts in component.events.items())
        parts.append("    }\n  }\n")
    parts.append("}\n")
    return "".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(typescript(), encoding="utf-8")
