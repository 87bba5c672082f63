"""How a Player says that something went wrong, and how the host's refusals arrive."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

# A traceback longer than this is cut at its beginning; the end is what tells the cause.
TRACEBACK_CHARACTERS = 16_000


class PlayerFailure(Exception):
    """A failure that the user is told in these words.

    `code` decides what the host does: `bad_input` and `permission_denied` are not tried again,
    `unavailable` is tried again, `failed` as the node's retry policy says.
    """

    def __init__(self, message: str, *, remedy: str = "", code: str = "failed") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code


class PermissionDenied(PlayerFailure):
    """The host refused a capability that the extension was not granted."""

    def __init__(self, message: str, *, remedy: str = "", code: str = "permission_denied") -> None:
        super().__init__(message, remedy=remedy, code=code)


class Cancelled(BaseException):
    """The call was stopped by the user or ran out of time. Not an `Exception`, so that it passes through."""


def failure_of(body: dict[str, Any]) -> BaseException:
    """The exception for an error body that the host sent."""
    code = str(body.get("code", "failed"))
    if code == "cancelled":
        return Cancelled()
    message, remedy = str(body.get("message", "the host gave no reason")), str(body.get("remedy", ""))
    if code == "permission_denied":
        return PermissionDenied(message, remedy=remedy)
    return PlayerFailure(message, remedy=remedy, code=code)


def error_body(error: BaseException) -> dict[str, str]:
    """The error body for whatever a function raised."""
    if isinstance(error, Cancelled):
        return {"code": "cancelled", "message": "the call was cancelled", "remedy": "", "traceback": ""}
    if isinstance(error, PlayerFailure):
        message, remedy, code = error.message, error.remedy, error.code
    elif isinstance(error, SystemExit):
        message, remedy, code = f"the function called sys.exit({error.code!r})", "", "failed"
    elif isinstance(error, MemoryError):
        message, remedy, code = "not enough memory", "raise the extension's memory limit", "failed"
    else:
        text = str(error)
        message, remedy, code = (
            f"{type(error).__name__}: {text}" if text else type(error).__name__,
            "",
            "failed",
        )
    return {"code": code, "message": message, "remedy": remedy, "traceback": _format(error)}


def _format(error: BaseException) -> str:
    # Imported here: it brings in a tenth of the standard library, and most Players never fail.
    import traceback

    text = "".join(traceback.format_exception(type(error), error, _outside_sdk(error.__traceback__)))
    # Text that is no Unicode (file names may be) cannot travel.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= TRACEBACK_CHARACTERS else "…" + text[-TRACEBACK_CHARACTERS:]


def _outside_sdk(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the extension's first frame on; all of it when there is none."""
    sdk = __file__.rpartition("/")[0]
    frame = trace
    while frame is not None:
        if not frame.tb_frame.f_code.co_filename.startswith(sdk):
            return frame
        frame = frame.tb_next
    return trace
