"""The doctor: looks at everything Symphony needs on this machine, and starts each bundled Player once."""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
from collections.abc import Callable
from typing import Any

from symphony.app import paths
from symphony.app.audit_keys import audit_source
from symphony.app.wire import HostClient
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.engine.history import History
from symphony.errors import HostBusy, SymphonyError
from symphony.ports.component import HealthStatus
from symphony.stage.audit import examine_file

MIN_PYTHON = (3, 11)


def examine(home: Home) -> list[HealthStatus]:
    """Every check that needs no running host."""
    checks: list[Callable[[Home], list[HealthStatus]]] = [
        _python,
        _native,
        _sandbox,
        _page,
        _window,
        _conductor,
        _learning,
        _registry,
        _files,
        _players,
    ]
    found: list[HealthStatus] = []
    for check in checks:
        try:
            found.extend(check(home))
        except SymphonyError as error:
            found.append(HealthStatus(check.__name__.strip("_"), "failed", error.message, error.remedy))
    return found


def diagnose(home: Home) -> dict[str, Any]:
    """The `doctor --json` answer: that of the running host, which knows its components, else all that can be
    seen without one.
    """
    if home.socket.exists():
        try:
            answer: dict[str, Any] = asyncio.run(HostClient(home.socket).health())
            return answer
        except HostBusy:
            pass  # left by a killed host, or one that is ending
    return report(examine(home))


def report(statuses: list[HealthStatus]) -> dict[str, Any]:
    """The shape of the contracts: healthy when nothing has failed."""
    components = [s.to_json() for s in statuses]
    return {"healthy": not any(c["status"] == "failed" for c in components), "components": components}


def _python(_: Home) -> list[HealthStatus]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < MIN_PYTHON:
        return [
            HealthStatus("python", "failed", version, "install Python 3.11 or newer and run `make build`")
        ]
    return [HealthStatus("python", "ok", version, "")]


def _native(_: Home) -> list[HealthStatus]:
    import pit_native

    missing = [
        n for n in ("Runtime", "ArtifactStore", "PoolManager", "DagTracker") if not hasattr(pit_native, n)
    ]
    if missing:
        return [HealthStatus("pit_native", "failed", f"it lacks {', '.join(missing)}", "run `make build`")]
    return [HealthStatus("pit_native", "ok", importlib.metadata.version("symphony"), "")]


def _sandbox(home: Home) -> list[HealthStatus]:
    from pit_native import sandbox_layers

    if not paths.launcher().exists():
        return [HealthStatus("sandbox", "failed", "the launcher is missing", "run `make build`")]
    given_up = set(Configuration.load(home=home).get("stage.sandbox.allow_missing"))
    found = []
    for layer in sandbox_layers():
        name = str(layer["name"])
        if layer["available"]:
            found.append(HealthStatus(f"sandbox: {name}", "ok", str(layer["detail"]), ""))
        elif name in given_up:
            detail = f"{layer['detail']} (given up by stage.sandbox.allow_missing)"
            found.append(HealthStatus(f"sandbox: {name}", "degraded", detail, str(layer["remedy"])))
        else:
            needed = bool(layer.get("required", True))
            found.append(
                HealthStatus(
                    f"sandbox: {name}",
                    "failed" if needed else "absent",
                    str(layer["detail"]),
                    str(layer["remedy"]),
                )
            )
    return found


def _page(_: Home) -> list[HealthStatus]:
    if (paths.page_files() / "index.html").exists():
        return [HealthStatus("page files", "ok", "", "")]
    return [HealthStatus("page files", "failed", "the page has not been built", "run `make build`")]


def _window(_: Home) -> list[HealthStatus]:
    from symphony.app.window import has_display, has_toolkit

    if not has_display():
        return [
            HealthStatus("window", "absent", "there is no display", "the page opens in a browser instead")
        ]
    if not has_toolkit():
        return [HealthStatus("window", "absent", "pywebview is not installed", "run `make run`")]
    return [HealthStatus("window", "ok", "", "")]


def _conductor(home: Home) -> list[HealthStatus]:
    files = paths.conductor_files(home)
    if not (files.encoder / "encoder.onnx").exists():
        return [
            HealthStatus("encoder", "degraded", "the sentence encoder has not been built", "run `make build`")
        ]
    if files.weights is None:
        return [
            HealthStatus(
                "policy",
                "degraded",
                "there are no weights; plans come from A*",
                "run `make conductor-weights`",
            )
        ]
    return [
        HealthStatus("encoder", "ok", "", ""),
        HealthStatus("policy", "ok", files.weights.name, ""),
        _span_reader(),
    ]


def _span_reader() -> HealthStatus:
    """Without it values of parameters that no pattern knows are not read; composition goes on."""
    from conductor.core import SPAN_WEIGHTS
    from conductor.spans.reader import SpanReader

    try:
        reader = SpanReader.load(SPAN_WEIGHTS)
    except SymphonyError as error:
        return HealthStatus("span reader", "degraded", error.message, error.remedy)
    return HealthStatus("span reader", "ok", reader.version, "")


def _learning(home: Home) -> list[HealthStatus]:
    """Which policy decides, where one was ever promoted."""
    from symphony.app.learning.service import deciding

    weights = paths.conductor_files(home).weights
    return [] if weights is None else [deciding(home.learning, weights)]


def _registry(_: Home) -> list[HealthStatus]:
    if (paths.registry_files() / "index.json").exists():
        return [HealthStatus("registry", "ok", "", "")]
    return [HealthStatus("registry", "degraded", "no registry is embedded", "run `make build`")]


def _files(home: Home) -> list[HealthStatus]:
    """The audit log and the summaries of runs, read as they are."""
    history = History(home.runs)
    source = audit_source(Configuration.load(home=home).get("pit.store.encryption"))
    found = [HealthStatus("audit log", *examine_file(home.audit, source))]
    unreadable = history.damaged()
    if unreadable:
        names = ", ".join(str(path) for path in unreadable[:3])
        remedy = "restore it from a copy, or remove its folder"
        found.append(HealthStatus("history", "degraded", f"{names} cannot be read", remedy))
    return found


def _players(home: Home) -> list[HealthStatus]:
    """Starts every enabled extension in its sandbox and says how that went."""
    from symphony.app.rehearsal import rehearse

    answers: dict[str, Any] = rehearse(home)
    return [
        HealthStatus(
            f"player: {name}",
            "ok" if not trouble else "failed",
            trouble,
            "see `symphony logs`" if trouble else "",
        )
        for name, trouble in answers.items()
    ]
