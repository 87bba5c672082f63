"""Structured logs and metrics."""

from symphony.telemetry.logs import log_context, setup_logging
from symphony.telemetry.metrics import Metrics
from symphony.telemetry.reading import read_logs

__all__ = ["Metrics", "log_context", "read_logs", "setup_logging"]
