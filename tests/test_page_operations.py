"""Which operations carry what each page reads and writes. A new URL needs them here, or a reason to have none."""

from collections.abc import Mapping

import pytest

from catalyst.core.operation_context import Context
from catalyst.operations import Effect, Operation, Scope, all_operations, find
from tests.test_urls import PEOPLE, TABLE, URLS

SIGNING_IN = "Signing in and out needs a browser."
ACCOUNT = "The account of a person, who signs in to change it. No key and no command acts as a person."
MAILED = "For whoever reads the mail of an address, who may have no account."
INGEST = "Receives spans by OTLP, which is an interface of its own."
DROPPED = "Answers OTLP that Catalyst does not store, an interface of its own."
INSTANCE = "Belongs to the instance: its operator has `manage.py doctor` and the admin."

WITHOUT: Mapping[str, str] = {
    "/otel/v1/logs": DROPPED,
    "/otel/v1/metrics": DROPPED,
    "/otel/v1/traces": INGEST,
    "/v1/logs": DROPPED,
    "/v1/metrics": DROPPED,
    "/v1/otel/v1/logs": DROPPED,
    "/v1/otel/v1/metrics": DROPPED,
    "/v1/otel/v1/traces": INGEST,
    "/v1/traces": INGEST,
    "admin:index": INSTANCE,
    "alerts:mail-confirm": MAILED,
    "alerts:mail-stop": MAILED,
    "alerts:own-mails": ACCOUNT,
    "core:home": "Leads to a page.",
    "core:invitation": "Joins with an account, which is signed in to or created there.",
    "core:login": SIGNING_IN,
    "core:login-link": SIGNING_IN,
    "core:logout": SIGNING_IN,
    "core:password-forgotten": SIGNING_IN,
    "core:password-new": SIGNING_IN,
    "signals:agent-choices": "Finds choices of a form.",
    "core:password-change": ACCOUNT,
    "core:profile": ACCOUNT,
    "core:sign-out-elsewhere": ACCOUNT,
    "ops:healthz": INSTANCE,
    "ops:metrics": INSTANCE,
    "ops:operator": INSTANCE,
    "ops:readyz": INSTANCE,
    "traces:attachment-show": "A picture to look at. `traces.span` and `traces.transcript` tell its kind and size.",
}

OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "alerts:agent-alerts": ("alerts.list",),
    "alerts:alert-archive": ("alerts.archive",),
    "alerts:alert-bulk": ("alerts.bulk",),
    "alerts:alert-create": ("alerts.create",),
    "alerts:alert-detail": ("alerts.show", "alerts.state", "alerts.events"),
    "alerts:alert-disable": ("alerts.disable",),
    "alerts:alert-edit": ("alerts.edit",),
    "alerts:alert-enable": ("alerts.enable",),
    "alerts:alert-list": ("alerts.list",),
    "alerts:alert-mute": ("alerts.mute",),
    "alerts:alert-unarchive": ("alerts.unarchive",),
    "alerts:alert-unmute": ("alerts.unmute",),
    "alerts:backtest-show": ("alerts.backtest",),
    "alerts:signal-alerts": ("alerts.list",),
    "alerts:channel-choices": ("channels.choices",),
    "alerts:channel-create": ("channels.create",),
    "alerts:channel-delete": ("channels.delete",),
    "alerts:channel-disable": ("channels.disable",),
    "alerts:channel-edit": ("channels.show", "channels.edit"),
    "alerts:channel-enable": ("channels.enable",),
    "alerts:channel-excerpts": ("channels.excerpts",),
    "alerts:channel-list": ("channels.list",),
    "alerts:channel-test": ("channels.test",),
    "alerts:delivery-list": ("channels.deliveries",),
    "alerts:recipient-ask": ("channels.ask",),
    "core:audit-list": ("audit.list",),
    "core:invitation-revoke": ("invitations.revoke",),
    "core:key-limit": ("keys.limit",),
    "core:key-list": ("keys.list", "keys.create"),
    "core:key-origins": ("keys.origins",),
    "core:key-revoke": ("keys.revoke",),
    "core:member-list": ("members.list", "invitations.list", "invitations.create"),
    "core:member-remove": ("members.remove",),
    "core:member-role": ("members.role",),
    "core:project-create": ("project.create", "project.list"),
    "core:retention": ("project.retention",),
    "core:settings": ("project.show", "project.rename"),
    "halo:agent-analysis": ("halo.list", "halo.issues"),
    "halo:issue": ("halo.issue",),
    "halo:issue-acknowledge": ("halo.issue_acknowledge",),
    "halo:issue-assign": ("halo.issue_assign",),
    "halo:issue-dismiss": ("halo.issue_dismiss",),
    "halo:issue-fix": ("halo.issue_fix",),
    "halo:issue-list": ("halo.issues",),
    "halo:issue-merge": ("halo.issue_merge",),
    "halo:issue-reopen": ("halo.issue_reopen",),
    "halo:issue-split": ("halo.issue_split",),
    "halo:report": ("halo.show", "halo.events"),
    "halo:report-ask": ("halo.follow_up",),
    "halo:report-cancel": ("halo.cancel",),
    "halo:report-create": ("halo.run",),
    "halo:report-list": ("halo.list",),
    "halo:report-markdown": ("halo.show",),
    "halo:report-preview": ("halo.preview",),
    "halo:schedule": ("halo.schedule_show", "halo.schedule_runs"),
    "halo:schedule-archive": ("halo.schedule_archive",),
    "halo:schedule-create": ("halo.schedule_create",),
    "halo:schedule-disable": ("halo.schedule_disable",),
    "halo:schedule-edit": ("halo.schedule_update",),
    "halo:schedule-enable": ("halo.schedule_enable",),
    "halo:schedule-list": ("halo.schedule_list",),
    "halo:schedule-run": ("halo.schedule_run_now",),
    "halo:schedule-unarchive": ("halo.schedule_unarchive",),
    "halo:report-compare": ("halo.compare",),
    "halo:finding-text": ("halo.show",),
    "halo:finding-markdown": ("halo.show",),
    "halo:verify": ("halo.verify",),
    "halo:verify-issue": ("halo.verify",),
    "llms:connection-create": ("models.create",),
    "llms:connection-delete": ("models.delete",),
    "llms:connection-edit": ("models.edit", "models.replace_key"),
    "llms:connection-list": ("models.list",),
    "llms:connection-revoke": ("models.revoke",),
    "llms:connection-test": ("models.test",),
    "signals:agent-signals": ("signals.list", "signals.rates"),
    "signals:budget-show": ("signals.budgets",),
    "signals:coverage-show": ("signals.coverage",),
    "signals:exchange-detail": ("signals.exchange",),
    "signals:judge-show": ("signals.prompt", "signals.prompt_draft"),
    "signals:label-again": ("signals.retry_label",),
    "signals:label-detail": ("signals.label",),
    "signals:label-export": ("signals.export",),
    "signals:label-retry": ("signals.retry",),
    "signals:lately-show": ("signals.traffic",),
    "signals:project-cap": ("signals.cap_project",),
    "signals:project-catch-up": ("signals.held_back_project", "signals.catch_up_project"),
    "signals:prompt-show": ("signals.prompt", "signals.prompt_draft"),
    "signals:run-cancel": ("signals.cancel_run",),
    "signals:run-create": ("signals.backfill",),
    "signals:run-list": ("signals.runs",),
    "signals:run-preview": ("signals.preview",),
    "signals:session-absences": ("signals.explain",),
    "signals:signal-activate": ("signals.activate",),
    "signals:signal-archive": ("signals.archive",),
    "signals:signal-bulk": ("signals.bulk",),
    "signals:signal-cap": ("signals.cap",),
    "signals:signal-catch-up": ("signals.held_back", "signals.catch_up"),
    "signals:signal-create": ("signals.create",),
    "signals:signal-detail": ("signals.show", "signals.queue", "signals.labels", "signals.distribution"),
    "signals:signal-disable": ("signals.disable",),
    "signals:signal-duplicate": ("signals.duplicate",),
    "signals:signal-edit": ("signals.edit", "signals.rename"),
    "signals:signal-list": ("signals.list",),
    "signals:signal-unarchive": ("signals.unarchive",),
    "signals:trace-absences": ("signals.explain",),
    "signals:trial-cancel": ("signals.cancel_test",),
    "signals:trial-detail": ("signals.test_results",),
    "signals:trial-exchange": ("signals.test_exchange",),
    "signals:trial-run": ("signals.test", "signals.test_draft"),
    "signals:version-compare": ("signals.compare",),
    "signals:version-list": ("signals.versions",),
    "signals:version-restore": ("signals.restore",),
    "traces:agent-detail": ("traces.agent",),
    "traces:agent-list": ("traces.agents",),
    "traces:agent-sessions": ("traces.sessions",),
    "traces:agent-traces": ("traces.list",),
    "traces:session-detail": ("traces.session", "traces.transcript"),
    "traces:session-list": ("traces.sessions", "traces.facets"),
    "traces:span-json": ("traces.span",),
    "traces:trace-detail": ("traces.show", "traces.span", "traces.transcript"),
    "traces:trace-list": ("traces.list", "traces.overview", "traces.facets"),
}

MERGING = "Repairs what senders got wrong, which is rare: a command is enough."
WITHOUT_PAGE: Mapping[str, str] = {
    "traces.duplicates": MERGING,
    "traces.identities": MERGING,
    "traces.merge_agents": MERGING,
    "traces.merge_duplicates": MERGING,
    "traces.split_agent": MERGING,
}

MEMBERS = PEOPLE[:3]
MAY = {
    Scope.READ: set(MEMBERS),
    Scope.WRITE: {"owner", "member"},
    Scope.KEYS: {"owner", "member"},
    Scope.ADMIN: {"owner"},
}
NOT_FOR_THEM = ("403", "405")


def members_who(statuses: str) -> set[str]:
    """The members that these answers of `tests.test_urls` let through."""
    answers = dict(zip(PEOPLE, statuses.split(), strict=True))
    return {who for who in MEMBERS if answers[who] not in NOT_FOR_THEM}


def operations_of(url: str) -> list[Operation]:
    return [find(name) for name in OPERATIONS[url]]


def test_every_url_has_operations_or_a_reason_for_none() -> None:
    assert {*OPERATIONS, *WITHOUT} == URLS.keys()
    assert OPERATIONS.keys() & WITHOUT.keys() == set()


def test_every_operation_is_of_a_page_or_has_a_reason_not_to() -> None:
    of_pages = {name for names in OPERATIONS.values() for name in names}
    assert {*of_pages, *WITHOUT_PAGE} == {each.name for each in all_operations()}
    assert of_pages & WITHOUT_PAGE.keys() == set()


@pytest.mark.parametrize("url", [url for url in OPERATIONS if URLS[url]])
def test_an_operation_is_for_those_whom_its_page_is_for(url: str) -> None:
    row = TABLE[url]
    let_through = [members_who(row.get), members_who(row.post)]
    for operation in operations_of(url):
        assert operation.caller is Context
        assert MAY[operation.scope] in let_through, operation.name


@pytest.mark.parametrize("url", OPERATIONS)
def test_what_writes_is_posted(url: str) -> None:
    if any(operation.effect == Effect.WRITES for operation in operations_of(url)):
        assert not TABLE[url].post.startswith("405")
