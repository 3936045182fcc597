"""What /metrics shows, for Prometheus."""

from collections.abc import Sequence
from typing import Any


class Counts:
    """Counters of one application, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        own = {"registry": self.registry}
        self.requests = Counter("headstart_requests", "requests by status", ["path", "status"], **own)
        self.seconds = Histogram("headstart_request_seconds", "seconds until a prediction is answered", **own)
        self.outcomes = Counter("headstart_rows", "rows by what became of them", ["outcome"], **own)
        self.received = Counter("headstart_received_bytes", "bytes of bodies that were read", **own)
        sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256]
        self.batches = Histogram("headstart_batch_rows", "rows that went through together", buckets=sizes, **own)
        self.waiting = Gauge("headstart_waiting_rows", "rows that wait for their batch", **own)

    def images(self, answers: Sequence[dict[str, Any]]) -> None:
        for answer in answers:
            outcome = "rejected" if "error" in answer else "predicted"
            self.outcomes.labels(outcome).inc()
            if answer.get("out_of_domain"):
                self.outcomes.labels("out_of_domain").inc()
