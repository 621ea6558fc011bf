"""Prometheus metrics, right under several processes when PROMETHEUS_MULTIPROC_DIR names a directory.

Labels come from closed sets only: never a client id, an address or anything else a caller chose.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client import REGISTRY as PROCESS_REGISTRY

CONTENT_TYPE = CONTENT_TYPE_LATEST

requests = Counter("authserver_requests_total", "Answers by endpoint and status", ["endpoint", "status"])
seconds = Histogram(
    "authserver_request_seconds",
    "Time to answer by endpoint",
    ["endpoint"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
events = Counter("authserver_events_total", "Audit events by name and outcome", ["event", "outcome"])
limited = Counter("authserver_limited_total", "Requests refused by a limit", ["limit"])
dependency_failures = Counter(
    "authserver_dependency_failures_total", "Failures of what answers depend on", ["dependency"]
)
dependency_recoveries = Counter(
    "authserver_dependency_recoveries_total", "Dependencies that were lost and are back", ["dependency"]
)
hash_queue_refused = Counter("authserver_hash_queue_refused_total", "Hashing refused as its queue was full")
outgoing_failed = Counter("authserver_outgoing_failed_total", "Calls to addresses of clients that failed")
unsealed = Gauge(
    "authserver_audit_unsealed", "Audit rows without a place in the chain", multiprocess_mode="mostrecent"
)
mail_oldest = Gauge(
    "authserver_mail_oldest_seconds", "How long the oldest message waits", multiprocess_mode="mostrecent"
)
job_last_run = Gauge(
    "authserver_job_last_run_seconds", "When a job last ran", ["job"], multiprocess_mode="max"
)
log_failures = Counter("authserver_log_failures_total", "Writes of log lines that failed")
job_failures = Counter("authserver_job_failures_total", "Runs of a job that failed", ["job"])


def exposition() -> bytes:
    """All metrics of all processes in the text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(PROCESS_REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
