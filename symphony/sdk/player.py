"""The functions of an extension, and how a call becomes one: names bound, outputs put in order."""

from __future__ import annotations

from symphony.sdk.declared import DeclaredOutputs
from symphony.sdk.failures import PlayerFailure
from symphony.sdk.values import Artifact, check_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar, overload

    from symphony.sdk.context import Context

    Function = TypeVar("Function", bound=Callable[..., Any])
else:

    def overload(function):
        """Stands in for `typing.overload`, which would cost the import of `typing`."""
        return function


# Flags of a code object, as in the module `inspect`, which is slow to import.
_HAS_KEYWORDS = 0x08


class Player:
    """A set of functions. Extensions use the one named `player`."""

    def __init__(self) -> None:
        self._functions: dict[str, _Entry] = {}
        self._activated: list[Callable[[dict[str, Any]], None]] = []

    @overload
    def function(self, function: Function, /) -> Function: ...
    @overload
    def function(  # noqa: F811
        self, /, *, name: str = "", outputs: Sequence[str] | None = None
    ) -> Callable[[Function], Function]: ...
    def function(  # noqa: F811
        self, function: Any = None, /, *, name: str = "", outputs: Sequence[str] | None = None
    ) -> Any:
        """Makes a function callable by the host, under its own name or `name`.

        It is called with a `Context` and then inputs and parameters by name. It returns a dict of its
        outputs, or the value alone when the manifest declares one output. `outputs` names them when
        they are not those of the manifest.
        """

        def register(function: Function) -> Function:
            label = name or function.__name__
            if label in self._functions:
                raise ValueError(f"the function {label!r} is registered twice")
            self._functions[label] = _Entry(function, label, list(outputs) if outputs is not None else None)
            return function

        return register if function is None else register(function)

    def on_activate(self, hook: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
        """Calls `hook(configuration)` once, before the first call. What it raises refuses the activation."""
        self._activated.append(hook)
        return hook

    @property
    def functions(self) -> list[str]:
        """The names of the registered functions, sorted."""
        return sorted(self._functions)

    def activate(self, configuration: dict[str, Any]) -> None:
        """Runs the hooks of `on_activate`."""
        for hook in self._activated:
            hook(configuration)

    def invoke(
        self,
        name: str,
        ctx: Context,
        inputs: dict[str, Any],
        params: dict[str, Any],
        declared: Callable[[], DeclaredOutputs | None],
    ) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
        """Calls a function and gives its outputs, and name and type of those that are artifacts.

        `declared` gives the manifest's outputs when the decorator does not name them.

        Raises `PlayerFailure` for an unknown function, wrong names, outputs that cannot travel or are not
        of their declared types, and whatever the function raises.
        """
        entry = self._functions.get(name)
        if entry is None:
            known = ", ".join(self.functions) or "none"
            raise PlayerFailure(f"there is no function {name!r}; there are: {known}", code="bad_input")
        arguments = entry.bind({**params, **inputs}, ctx)
        result = entry.function(ctx, **arguments)
        if entry.outputs is not None:
            return _in_order(name, result, entry.outputs)
        outputs = declared()
        return _in_order(name, result, None if outputs is None else outputs.ports, outputs)

    def serve(self) -> None:
        """Speaks with the host until it ends the session. Does nothing in a test harness."""
        from symphony.sdk.service import serve

        serve(self)


class _Entry:
    """A registered function and what its code object says of its parameters."""

    __slots__ = ("accepted", "function", "label", "outputs", "required", "takes_any", "takes_project")

    def __init__(self, function: Callable[..., Any], label: str, outputs: list[str] | None) -> None:
        code = getattr(function, "__code__", None)
        if code is None:
            raise TypeError(f"{label} is no plain function")
        if code.co_posonlyargcount > 1:
            raise TypeError(f"{label} has positional-only parameters; inputs and parameters come by name")
        positional = code.co_argcount
        if positional == 0:
            raise TypeError(f"{label} must take the context as its first parameter")
        names = code.co_varnames[1 : positional + code.co_kwonlyargcount]
        defaulted = set(code.co_varnames[positional - len(function.__defaults__ or ()) : positional])
        defaulted.update(function.__kwdefaults__ or ())
        self.function = function
        self.label = label
        self.outputs = outputs
        self.accepted = frozenset(names)
        self.takes_project = "project" in names
        self.required = frozenset(names) - defaulted
        self.takes_any = bool(code.co_flags & _HAS_KEYWORDS)

    def bind(self, given: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """The arguments by name; the project comes from the context when nothing else gives it."""
        if self.takes_project and "project" not in given and ctx.project is not None:
            given["project"] = ctx.project
        names = given.keys()
        if not (names >= self.required and (self.takes_any or names <= self.accepted)):
            unknown = [] if self.takes_any else sorted(names - self.accepted)
            faults = [f"{name!r} is missing" for name in sorted(self.required - names)]
            faults += [f"{name!r} is unknown" for name in unknown]
            accepted = ", ".join(sorted(self.accepted)) or "nothing"
            raise PlayerFailure(
                f"{self.label}: {', '.join(faults)}", remedy=f"it takes {accepted}", code="bad_input"
            )
        return given


def _in_order(
    name: str, result: Any, ports: Sequence[str] | None, declared: DeclaredOutputs | None = None
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    outputs: dict[str, Any] = {}
    artifacts: dict[str, dict[str, str]] = {}
    for port, value in _by_port(name, result, ports).items():
        if isinstance(value, Artifact):
            artifacts[port] = {"name": value.name, "type": value.type}
            value = value.content
        check_plain(value, f"{name}: output {port}")
        if declared is not None:
            declared.check(name, port, value)
        outputs[port] = value
    return outputs, artifacts


def _by_port(name: str, result: Any, ports: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(result, dict) and _are_ports(result, ports):
        return result
    if ports is not None and len(ports) == 1:
        return {ports[0]: result}
    if result is None and not ports:
        return {}
    declared = ", ".join(ports) if ports else "none"
    if isinstance(result, dict):
        returned = "outputs " + ", ".join(map(repr, result))
    else:
        returned = f"a {type(result).__name__}"
    raise PlayerFailure(
        f"{name} returned {returned}; its declared outputs are: {declared}",
        remedy="return a dict with the manifest's outputs as keys",
    )


def _are_ports(result: dict[Any, Any], ports: Sequence[str] | None) -> bool:
    """Whether a dict is the outputs by port, and not itself the value of the only output."""
    if ports is None:
        return all(isinstance(key, str) for key in result)
    return all(key in ports for key in result) and (bool(result) or len(ports) != 1)


player = Player()
