"""URLs of signals."""

from django.urls import path

from signals.views import (
    agent_signals,
    caps,
    coverage,
    labels,
    missing_labels,
    runs,
    signal_actions,
    signal_detail,
    signal_editor,
    signal_list,
    signal_tests,
    versions,
)

app_name = "signals"
urlpatterns = [
    path("p/<slug:project>/signals/", signal_list.signal_list, name="signal-list"),
    path("p/<slug:project>/signals/bulk/", signal_list.signal_bulk, name="signal-bulk"),
    path("p/<slug:project>/agents/<int:pk>/signals/", agent_signals.agent_signals, name="agent-signals"),
    path("p/<slug:project>/signals/new/", signal_editor.signal_create, name="signal-create"),
    path("p/<slug:project>/signals/judge/", signal_editor.judge_show, name="judge-show"),
    path("p/<slug:project>/signals/lately/", signal_editor.lately_show, name="lately-show"),
    path(
        "p/<slug:project>/signals/absences/traces/<int:pk>/",
        missing_labels.trace_missing_labels,
        name="trace-absences",
    ),
    path(
        "p/<slug:project>/signals/absences/sessions/<int:pk>/",
        missing_labels.session_missing_labels,
        name="session-absences",
    ),
    path("p/<slug:project>/signals/trial/", signal_tests.test_run, name="trial-run"),
    path("p/<slug:project>/signals/trial/<int:pk>/", signal_tests.test_detail, name="trial-detail"),
    path("p/<slug:project>/signals/trial/<int:pk>/cancel/", signal_tests.test_cancel, name="trial-cancel"),
    path(
        "p/<slug:project>/signals/trial/<int:pk>/targets/<int:item>/",
        signal_tests.test_exchange,
        name="trial-exchange",
    ),
    path("p/<slug:project>/signals/prompt/", signal_tests.prompt_show, name="prompt-show"),
    path("p/<slug:project>/signals/<int:pk>/", signal_detail.signal_detail, name="signal-detail"),
    path("p/<slug:project>/signals/<int:pk>/versions/", versions.version_list, name="version-list"),
    path("p/<slug:project>/signals/<int:pk>/versions/compare/", versions.version_compare, name="version-compare"),
    path(
        "p/<slug:project>/signals/<int:pk>/versions/<int:number>/restore/",
        versions.version_restore,
        name="version-restore",
    ),
    path("p/<slug:project>/signals/<int:pk>/duplicate/", versions.signal_duplicate, name="signal-duplicate"),
    path("p/<slug:project>/signals/<int:pk>/coverage/", coverage.coverage_show, name="coverage-show"),
    path("p/<slug:project>/signals/<int:pk>/runs/", runs.run_list, name="run-list"),
    path("p/<slug:project>/signals/<int:pk>/runs/preview/", runs.run_preview, name="run-preview"),
    path("p/<slug:project>/signals/<int:pk>/runs/new/", runs.run_create, name="run-create"),
    path("p/<slug:project>/signals/<int:pk>/runs/<int:run>/cancel/", runs.run_cancel, name="run-cancel"),
    path("p/<slug:project>/signals/<int:pk>/labels/<int:label>/", labels.label_detail, name="label-detail"),
    path(
        "p/<slug:project>/signals/<int:pk>/labels/<int:label>/verdicts/<int:verdict>/",
        labels.exchange_detail,
        name="exchange-detail",
    ),
    path("p/<slug:project>/signals/<int:pk>/labels/<int:label>/retry/", labels.label_again, name="label-again"),
    path("p/<slug:project>/signals/<int:pk>/labels/", labels.label_export, name="label-export"),
    path("p/<slug:project>/signals/<int:pk>/edit/", signal_editor.signal_edit, name="signal-edit"),
    path("p/<slug:project>/signals/<int:pk>/activate/", signal_actions.signal_activate, name="signal-activate"),
    path("p/<slug:project>/signals/<int:pk>/disable/", signal_actions.signal_disable, name="signal-disable"),
    path("p/<slug:project>/signals/<int:pk>/archive/", signal_actions.signal_archive, name="signal-archive"),
    path("p/<slug:project>/signals/<int:pk>/unarchive/", signal_actions.signal_unarchive, name="signal-unarchive"),
    path("p/<slug:project>/signals/cap/", caps.project_cap, name="project-cap"),
    path("p/<slug:project>/signals/<int:pk>/cap/", caps.signal_cap, name="signal-cap"),
    path("p/<slug:project>/signals/catch-up/", caps.project_catch_up, name="project-catch-up"),
    path("p/<slug:project>/signals/<int:pk>/catch-up/", caps.signal_catch_up, name="signal-catch-up"),
    path("p/<slug:project>/signals/<int:pk>/retry/", signal_actions.label_retry, name="label-retry"),
]
