"""Limits in plain numbers: other tests know them by name only, and would pass with a thousand times as much."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.conf import settings

from alerts import delivery
from alerts.channels import kind
from catalyst import mail
from catalyst.core import forms
from catalyst.core.token_buckets import Limit
from catalyst.env import Env
from signals.judging import worker
from signals.models import label_queue

MINUTE, HOUR, DAY = 60, 3_600, 86_400
KIB, MIB = 1024, 1024**2

# From the least to the most that a value may be, in seconds, bytes, or what its name says.
LIMITS = {
    # How long a right lasts.
    "catalyst.core.api_keys.CACHE_LIFETIME": (0, 5),
    "catalyst.core.login_links.LIFETIME": (HOUR, DAY),
    "catalyst.core.operations.INVITATION_LIFETIME": (DAY, 14 * DAY),
    "catalyst.core.operations.keys.MAX_DAYS": (365, 3_650),
    "catalyst.core.sign_ins.RESOLUTION": (1, 5 * MINUTE),
    "catalyst.core.models.LAST_USED_RESOLUTION": (1, 5 * MINUTE),
    # How fast strangers and keys may try.
    "catalyst.core.api_keys.BURST_SECONDS": (2, 30),
    "catalyst.core.forms.SLOW_SECONDS": (1, 5),
    # How much a request may send, and how slowly.
    "catalyst.server.handler.MAX_STRANGER_BODY_BYTES": (16 * KIB, 128 * KIB),
    "catalyst.server.handler.MAX_PAGE_BODY_BYTES": (MIB, 4 * MIB),
    "catalyst.server.protocol.MAX_URL_BYTES": (8 * KIB, 64 * KIB),
    "catalyst.server.protocol.MAX_HEAD_BYTES": (16 * KIB, 128 * KIB),
    "catalyst.server.protocol.HEAD_SECONDS": (5, 60),
    "catalyst.server.protocol.BODY_SECONDS": (10, 60),
    "catalyst.server.protocol.WRITE_SECONDS": (10, 60),
    "catalyst.server.protocol.IDLE_SECONDS": (30, 5 * MINUTE),
    "catalyst.server.protocol.BODY_BYTES_PER_SECOND": (8 * KIB, MIB),
    "catalyst.server.downloads.MOST_PER_PERSON": (1, 16),
    "traces.api.SMALL_BODY_BYTES": (16 * KIB, 256 * KIB),
    "catalyst.server.compression.SLICE_BYTES": (16 * KIB, 256 * KIB),
    "catalyst.server.compression.MAX_MEMBERS": (100, 10_000),
    "catalyst.server.compression.MAX_ZSTD_WINDOW_BYTES": (1024 * KIB, 16 * 1024 * KIB),
    "traces.api.RETRY_AFTER_SECONDS": (1, 30),
    "traces.otlp.json_body.MAX_DOCUMENT_LEVELS": (64, 900),
    # Ingest.
    "traces.ingest.pipeline.MAX_TRIES": (2, 5),
    "traces.ingest.group_commit.MAX_GROUP_SPANS": (500, 10_000),
    "traces.ingest.group_commit.MAX_WRITES": (1, 16),
    "traces.models.agent_minutes.MINUTES_KEPT": (2 * DAY, 7 * DAY),
    "traces.clocks.FUTURE_TOLERANCE": (MINUTE, DAY),
    # Judging: how long a dead worker's work waits, and how often it is tried.
    "signals.judging.worker.LEASE": (10, MINUTE),
    "signals.judging.worker.EXTEND_LEASES_EVERY": (1, 15),
    "signals.judging.worker.MAX_CALL_WAIT": (MINUTE, 10 * MINUTE),
    "signals.judging.worker.POLL_SECONDS": (0.1, 2),
    "signals.judging.worker.READ_AHEAD": (1, 10),
    "signals.models.label_queue.MAX_LEASE": (30, 5 * MINUTE),
    "signals.models.label_queue.MAX_WAIT": (10 * MINUTE, 2 * HOUR),
    "signals.models.label_queue.MAX_OUTAGES": (10, 1_000),
    "signals.models.label_states.MAX_ATTEMPTS": (2, 10),
    "signals.models.signal_test.MAX_DURATION": (MINUTE, 15 * MINUTE),
    "signals.runs.signal_tests.MAX_TARGETS": (10, 1_000),
    "signals.retention.TESTS_KEPT": (HOUR, 7 * DAY),
    "catalyst.llms.availability.MAX_BACKOFF": (10, 5 * MINUTE),
    "catalyst.llm.MAX_RETRY_AFTER_SECONDS": (10 * MINUTE, 2 * HOUR),
    "catalyst.llm.MAX_REPLY_BYTES": (64 * KIB, 4 * MIB),
    # What Catalyst reads of addresses that users choose.
    "catalyst.net.MAX_RESPONSE_BYTES": (64 * KIB, 4 * MIB),
    "catalyst.net.TIMEOUT_SECONDS": (2, 30),
    "catalyst.net.CONNECT_TIMEOUT_SECONDS": (1, 10),
    # Messages to channels: how long a dead worker's message waits, how often it is tried, and who may be asked.
    "alerts.delivery.LEASE": (30, 5 * MINUTE),
    "alerts.delivery.MAX_ATTEMPTS": (10, 50),
    "alerts.delivery.MAX_AGE": (HOUR, 2 * DAY),
    "alerts.delivery.MAX_RETRY": (10 * MINUTE, 2 * HOUR),
    "alerts.delivery.AT_ONCE": (4, 64),
    "alerts.delivery.MAX_THREADS": (16, 128),
    "alerts.channels.kind.TIMEOUT_SECONDS": (2, 30),
    "alerts.channels.kind.MAX_RETRY_AFTER_SECONDS": (10 * MINUTE, 2 * HOUR),
    "alerts.channel_settings.MAX_CHANNELS": (10, 200),
    "alerts.channels.mail.MAX_ADDRESSES": (5, 50),
    "alerts.models.channel.LINK_LIFETIME": (DAY, 7 * DAY),
    "alerts.retention.DELIVERIES_KEPT": (30 * DAY, 400 * DAY),
    "alerts.tasks.DELIVER_SECONDS": (5, MINUTE),
    # How late operators hear that something stands still.
    "catalyst.ops.models.LOST_AFTER": (5, MINUTE),
    "catalyst.ops.models.OVERDUE_AFTER": (5, MINUTE),
    "catalyst.ops.scheduler.TICK_SECONDS": (0.1, 2),
    "catalyst.database.POOL_WAIT_SECONDS": (2, 30),
}
# What an instance has where its operator sets nothing.
DEFAULTS = {
    "max_body_mb": (8, 64),
    "body_memory_mb": (32, 512),
    "max_request_spans": (10_000, 200_000),
    "max_trace_spans": (10_000, 200_000),
    "ingest_queue_spans": (4_000, 100_000),
    "key_requests_per_second": (100, 10_000),
    "key_spans_per_second": (10_000, 200_000),
    "retention_days": (7, 90),
    "judge_exchange_days": (1, 90),
    "keep_labels_days": (90, 800),
    "judge_concurrency": (8, 128),
    "judge_timeout_seconds": (10, 120),
    "judge_budget_tokens": (4_000, 64_000),
    "settle_trace_seconds": (2, 30),
    "settle_rootless_seconds": (60, 15 * MINUTE),
    "settle_session_seconds": (5 * MINUTE, 2 * HOUR),
    "hsts_seconds": (DAY, 730 * DAY),
}


def number(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


@pytest.mark.parametrize("path", LIMITS)
def test_a_limit_is_about_as_large_as_it_should_be(path: str) -> None:
    module, _, name = path.rpartition(".")
    least, most = LIMITS[path]
    assert least <= number(getattr(import_module(module), name)) <= most


def test_what_nobody_sets_is_about_as_large_as_it_should_be() -> None:
    values = {name: Env.model_fields[name].default for name in DEFAULTS}
    wrong = {name: value for name, value in values.items() if not DEFAULTS[name][0] <= value <= DEFAULTS[name][1]}
    assert wrong == {}


def test_a_person_stays_signed_in_for_weeks_at_most() -> None:
    assert DAY <= settings.SESSION_COOKIE_AGE <= 30 * DAY


@pytest.mark.parametrize("limit", [forms.SIGN_IN_BY_ADDRESS, forms.SIGN_IN_BY_NAME, forms.SIGN_IN_SLOWLY])
def test_nobody_tries_many_passwords(limit: Limit) -> None:
    assert 5 <= limit.capacity <= 50
    assert limit.tokens_per_second * DAY <= 10_000


def test_a_call_ends_before_its_lease() -> None:
    assert 2 * max(kind.TIMEOUT_SECONDS, mail.TIMEOUT_SECONDS) < delivery.LEASE.total_seconds()


def test_a_worker_that_lives_keeps_its_leases() -> None:
    assert 2 * worker.EXTEND_LEASES_EVERY < worker.LEASE <= label_queue.MAX_LEASE
