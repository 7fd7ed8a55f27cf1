"""Metrics in Prometheus' text format 0.0.4.

The database holds the numbers, so every web process returns the same.
"""

from collections.abc import Iterable, Iterator

import prometheus_client
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector, CollectorRegistry

from catalyst.health import Metric

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _Collector(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[prometheus_client.Metric]:
        for metric in self._metrics:
            # The library writes a counter's `_total` itself.
            family = prometheus_client.Metric(metric.name.removesuffix("_total"), metric.help, metric.type)
            for labels, value in metric.samples:
                family.add_sample(metric.name, dict(labels), value)
            yield family


def exposition(metrics: Iterable[Metric]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Collector(metrics))
    return prometheus_client.generate_latest(registry)
