"""What an operator's machines ask for: whether the server is alive, and ready, and its figures."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence

from twisted.web import http

import chatservice
import twisted
from chatservice.core.limits import Limits
from chatservice.server.factory import ChatFactory, Phase
from chatservice.server.web.door import HttpDoor, Route
from chatservice.server.web.forwarded import Forwarding
from chatservice.server.web.hosts import Hosts
from chatservice.server.web.http import Response, WebRequest, in_words

# The connections of machines are few, and not taken from people's.
LIMITS = Limits(max_users=100, max_per_address=20)


def health_routes(factory: ChatFactory) -> dict[str, Route]:
    """``/healthz``: the process serves requests. ``/readyz``: 503 while it starts and stops."""

    def healthz(request: WebRequest) -> Response:
        return in_words(200, "ok")

    def readyz(request: WebRequest) -> Response:
        if factory.phase is not Phase.READY:
            return in_words(503, factory.phase.value)
        # People can talk all the same: another server would not help.
        return in_words(200, "ok" if factory.chat.archive.trouble is None else "degraded")

    return {"/healthz": healthz, "/readyz": readyz}


def metrics_door(factory: ChatFactory, hosts: Hosts) -> HttpDoor:
    """Serves ``/metrics`` in the text format of Prometheus, and the above."""
    routes = {"/metrics": _metrics(factory), **health_routes(factory)}
    return HttpDoor(factory.clock, lambda: LIMITS, hosts, Forwarding(), routes)


def _metrics(factory: ChatFactory) -> Route:
    from prometheus_client import (  # noqa: PLC0415 (it is an extra)
        CollectorRegistry,
        ProcessCollector,
        generate_latest,
    )
    from prometheus_client.core import (  # noqa: PLC0415
        CounterMetricFamily,
        GaugeMetricFamily,
        InfoMetricFamily,
        Metric,
    )
    from prometheus_client.exposition import CONTENT_TYPE_LATEST  # noqa: PLC0415

    def counter(
        name: str, words: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], int]]
    ) -> Metric:
        family = CounterMetricFamily(name, words, labels=labels)
        for key, value in values:
            family.add_metric(key, value)
        return family

    class Figures:
        """Read when they are asked for; nothing is counted for them but what is counted anyway."""

        def collect(self) -> Iterable[Metric]:
            connections = factory.connections
            stalled = sum(connection.session.cursor.stalled for connection in connections)
            trouble = factory.chat.archive.trouble is not None
            build = {
                "version": chatservice.__version__,
                "twisted": twisted.__version__,
                "python": platform.python_version(),
            }
            yield InfoMetricFamily("chat_build", "Versions.", build)
            yield GaugeMetricFamily("chat_connections", "Connections now.", len(connections))
            yield counter(
                "chat_connections_accepted",
                "Connections accepted.",
                ("door",),
                [((door,), count) for door, count in factory.accepted.items()],
            )
            yield counter(
                "chat_connections_turned_away",
                "Connections turned away, for want of room.",
                ("door", "reason"),
                factory.turned_away.items(),
            )
            yield GaugeMetricFamily("chat_users", "People who are here.", len(factory.users))
            yield GaugeMetricFamily(
                "chat_readers_stalled", "Connections that take nothing for now.", stalled
            )
            yield GaugeMetricFamily(
                "chat_saving_trouble", "1 while messages cannot be saved.", int(trouble)
            )

    registry = CollectorRegistry()
    registry.register(Figures())
    ProcessCollector(registry=registry)

    def metrics(request: WebRequest) -> Response:
        if request.method not in (b"GET", b"HEAD"):
            return in_words(http.NOT_ALLOWED, "This can only be read.", Allow="GET, HEAD")
        return Response(200, generate_latest(registry), CONTENT_TYPE_LATEST)

    return metrics
