"""The broker: answers a Player's capability calls, each checked against its grants and written to the audit log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from symphony.errors import PermissionDenied, PlayerError, SymphonyError
from symphony.stage.audit import AuditLog
from symphony.stage.budgets import Ledger
from symphony.stage.permissions import Grants
from symphony.stage.roster import CastMember, Roster

log = logging.getLogger(__name__)

Json = dict[str, Any]
Respond = Callable[[int, Any], object]
RespondError = Callable[[int, str, str, str], object]
Charge = Callable[[int, float, int], object]


class Note(Protocol):
    """Writes down a use of a capability before it begins."""

    def __call__(self, detail: str = "") -> object: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the extension with its grants, on which project, in which run and node ("" outside a run)."""

    member: CastMember
    grants: Grants
    project: Path | None
    run: str
    node: str
    charge: Callable[[float, int], object] = lambda cpu_seconds, memory: None
    """Counts what was done for the call as what the node has used: CPU seconds, peak memory in bytes."""

    piece: Callable[[Json], bool] = lambda body: False
    """Sends a part of the answer before its end; false when nobody waits for it any more."""

    listen: Callable[[str, int], object] = lambda pattern, queue: None
    """Answers the request with what is published under a pattern, through a queue of so many messages."""

    announce: Callable[[str], bool] = lambda topic: False
    """Lets the Player publish under a topic while its session lasts; false when it announced too many."""

    note: Note = lambda detail="": None
    """Writes into the audit log that this is allowed and about to be done, in the words of `detail` or, without any,
    those of the capability. Raises StorageFull; then it must not be done."""

    def refuse(self, capability: str, detail: str, remedy: str) -> PermissionDenied:
        """The error for something that was not granted."""
        return PermissionDenied(f"{self.member.name} may not {capability} {detail}", remedy=remedy)


Handler = Callable[[Caller, Json], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class Capability:
    """How one method is answered. `describe` gives the audit log's words for a request's body."""

    handler: Handler
    describe: Callable[[Json], str]
    is_use: bool = True
    """Whether it uses a permission: then it is counted against the budget and written to the audit log."""

    at_once: int | None = None
    """How many an extension may have under way, over all its Players; the next wait for their turn. None for any
    number that the bus lets through."""


class Broker:
    """Dispatches `request` events of the run loop to the capability that answers them."""

    def __init__(
        self,
        roster: Roster,
        audit: AuditLog,
        capabilities: Mapping[str, Capability],
        respond: Respond,
        respond_error: RespondError,
        charge: Charge = lambda request, cpu_seconds, memory: None,
        piece: Callable[[int, Any], bool] = lambda request, body: False,
        count: Callable[[str], None] = lambda method: None,
        ledger: Ledger | None = None,
        listen: Callable[[int, str, int], object] = lambda request, pattern, queue: None,
        announce: Callable[[int, str], bool] = lambda request, topic: False,
    ) -> None:
        """`charge` is told what a request has used, `piece` sends a part of its answer, `count` is told of each
        call's method, `ledger` keeps the budgets, and `listen` and `announce` open topics.
        """
        self._roster = roster
        self._audit = audit
        self._capabilities = dict(capabilities)
        self._respond = respond
        self._respond_error = respond_error
        self._charge = charge
        self._piece = piece
        self._count = count
        self._ledger = ledger
        self._listen = listen
        self._announce = announce
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._owners: dict[int, str] = {}
        self._turns: dict[tuple[str, str], asyncio.Semaphore] = {}

    def handle(self, event: Json) -> None:
        """Starts to answer a `request` event; the answer goes out when it is there."""
        request = int(event["id"])
        task = asyncio.get_running_loop().create_task(self._answer(event))
        self._tasks[request] = task
        task.add_done_callback(lambda _: self._ended(request))

    def withdraw(self, request: int) -> None:
        """Nobody waits for this answer any more: what still works for it, such as a program, is ended."""
        task = self._tasks.get(request)
        if task is not None:
            task.cancel()

    def revoke(self, extension: str) -> None:
        """The extension may do less than before: what is still being done for it is ended and refused."""
        for request, owner in list(self._owners.items()):
            if owner == extension:
                self._tasks[request].cancel()
                self._respond_error(
                    request, "permission_denied", f"A permission of {extension} was taken back", ""
                )

    def _ended(self, request: int) -> None:
        self._tasks.pop(request, None)
        self._owners.pop(request, None)

    async def stop(self) -> None:
        """Cancels what is still being answered."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, event: Json) -> None:
        method = str(event["method"])
        try:
            answer = await self._dispatch(event, method)
        except SymphonyError as error:
            self._respond_error(event["id"], error.code, error.message, error.remedy)
        except Exception as error:
            # A defect of the host must not leave the Player waiting for ever.
            log.exception("capability call failed", extra={"method": method})
            self._respond_error(
                event["id"], "internal", f"The host failed at {method}: {error}", "see the log"
            )
        else:
            self._respond(event["id"], answer)

    async def _dispatch(self, event: Json, method: str) -> Json:
        capability = self._capabilities.get(method)
        if capability is None:
            raise PlayerError(
                f"There is no capability call {method}",
                code="unknown_method",
                remedy="see docs/stage-protocol.md",
            )
        self._count(method)
        body = event["body"]
        if not isinstance(body, dict):
            raise PlayerError(f"The body of {method} must be a map", code="bad_input")
        member, project = self._who(event["key"])
        self._owners[int(event["id"])] = member.name
        place = {"run": event.get("run") or "", "node": event.get("node") or ""}
        words, is_noted = capability.describe(body), False

        def note(detail: str = "") -> None:
            nonlocal is_noted
            if capability.is_use:
                self._audit.record(member.name, method, detail or words, allowed=True, **place)
            is_noted = True

        caller = Caller(
            member=member,
            grants=Grants(list(member.granted)),
            project=project,
            **place,
            note=note,
            charge=partial(self._charge, event["id"]),
            piece=partial(self._piece, event["id"]),
            listen=partial(self._listen, event["id"]),
            announce=partial(self._announce, event["id"]),
        )
        allowed = True
        try:
            if self._ledger is not None and capability.is_use:
                self._ledger.check(member.name, model=method == "model.complete")
                self._ledger.charge(member.name, calls=1)
            async with self._turn(member.name, method, capability.at_once):
                return await capability.handler(caller, body)
        except SymphonyError as error:
            # A link that leads out of its folder is refused by the kernel, after the grant was found.
            allowed = not isinstance(error, PermissionDenied) and error.code != "permission_denied"
            if is_noted:  # the log has these words already, as allowed
                words = error.message
            raise
        finally:
            if capability.is_use and not (is_noted and allowed):
                self._audit.record(member.name, method, words, allowed=allowed, **place)

    def _turn(
        self, extension: str, method: str, at_once: int | None
    ) -> contextlib.AbstractAsyncContextManager[object]:
        if at_once is None:
            return contextlib.nullcontext()
        return self._turns.setdefault((extension, method), asyncio.Semaphore(at_once))

    def _who(self, key: str) -> tuple[CastMember, Path | None]:
        try:
            return self._roster.who(key)
        except KeyError:
            raise PermissionDenied(
                "This Player may not play any more",
                remedy="a permission was taken back, or it was switched off",
            ) from None
