"""Who subscribed hears what changed, whatever became of the others who did."""

from __future__ import annotations

from typing import Any, cast

from symphony.mcp.person import Context
from symphony.mcp.subscriptions import Subscriptions
from symphony.ports.host import HostPort

URI = "symphony://artifacts/report.md"


class Host:
    """One artifact that has versions."""

    version = 1

    async def get_artifact(self, name: str, *_: int) -> tuple[dict[str, Any], bytes]:
        return {"id": name, "version": self.version}, b""


class Session:
    """What hears, for as long as its transport is there."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.tried = 0
        self.told: list[str] = []
        self._problem = problem
        self.session = self

    async def send_resource_updated(self, uri: str) -> None:
        self.tried += 1
        if self._problem is not None:
            raise self._problem
        self.told.append(uri)


async def test_a_session_that_is_gone_keeps_no_other_from_hearing() -> None:
    host = Host()

    async def port() -> HostPort:
        return cast(HostPort, host)

    subscriptions = Subscriptions(port)
    sessions = {
        "first": Session(),
        "broken": Session(BrokenPipeError("closed")),
        "strange": Session(RuntimeError("whatever a transport raises")),
        "last": Session(),
    }
    try:
        for name, session in sessions.items():
            await subscriptions.subscribe(name, cast(Context, session), URI)
        for host.version in (2, 3):
            await subscriptions._look()
    finally:
        await subscriptions.close()
    assert sessions["first"].told == sessions["last"].told == [URI, URI]
    assert sessions["broken"].tried == sessions["strange"].tried == 1, "nobody is asked again who is gone"
