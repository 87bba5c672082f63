"""What is refused of a YAML text before it is read: aliases, and nesting that would exhaust the C stack."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 200


def check_yaml(text: str) -> None:
    """Raises a `yaml.MarkedYAMLError` for malformed text, an alias, or nesting deeper than MAX_DEPTH.

    Aliases let ten lines stand for a billion values, and PyYAML's C composer ends the whole process on
    deep nesting; the events read here are made without recursion.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise _refused(f"the alias *{event.anchor} is not allowed", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _refused("is nested too deeply", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refused(message: str, event: Any) -> Exception:
    import yaml

    return yaml.constructor.ConstructorError(None, None, message, event.start_mark)
