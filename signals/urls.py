"""Pages of the signals app."""

from django.urls import path

from signals import (
    absence_views,
    catch_up_views,
    coverage_views,
    label_views,
    list_views,
    run_views,
    trial_views,
    verdict_views,
    version_views,
    views,
)

app_name = "signals"
urlpatterns = [
    path("p/<slug:project>/signals/", list_views.signal_list, name="signal-list"),
    path("p/<slug:project>/signals/bulk/", list_views.signal_bulk, name="signal-bulk"),
    path("p/<slug:project>/agents/<int:pk>/signals/", views.agent_signals, name="agent-signals"),
    path("p/<slug:project>/signals/new/", views.signal_create, name="signal-create"),
    path("p/<slug:project>/signals/judge/", views.judge_show, name="judge-show"),
    path("p/<slug:project>/signals/lately/", views.lately_show, name="lately-show"),
    path("p/<slug:project>/signals/absences/traces/<int:pk>/", absence_views.trace_absences, name="trace-absences"),
    path(
        "p/<slug:project>/signals/absences/sessions/<int:pk>/",
        absence_views.session_absences,
        name="session-absences",
    ),
    path("p/<slug:project>/signals/trial/", trial_views.trial_run, name="trial-run"),
    path("p/<slug:project>/signals/prompt/", trial_views.prompt_show, name="prompt-show"),
    path("p/<slug:project>/signals/<int:pk>/", views.signal_detail, name="signal-detail"),
    path("p/<slug:project>/signals/<int:pk>/versions/", version_views.version_list, name="version-list"),
    path("p/<slug:project>/signals/<int:pk>/versions/compare/", version_views.version_compare, name="version-compare"),
    path(
        "p/<slug:project>/signals/<int:pk>/versions/<int:number>/restore/",
        version_views.version_restore,
        name="version-restore",
    ),
    path("p/<slug:project>/signals/<int:pk>/duplicate/", version_views.signal_duplicate, name="signal-duplicate"),
    path("p/<slug:project>/signals/<int:pk>/coverage/", coverage_views.coverage_show, name="coverage-show"),
    path("p/<slug:project>/signals/<int:pk>/runs/", run_views.run_list, name="run-list"),
    path("p/<slug:project>/signals/<int:pk>/runs/preview/", run_views.run_preview, name="run-preview"),
    path("p/<slug:project>/signals/<int:pk>/runs/new/", run_views.run_create, name="run-create"),
    path("p/<slug:project>/signals/<int:pk>/runs/<int:run>/cancel/", run_views.run_cancel, name="run-cancel"),
    path("p/<slug:project>/signals/<int:pk>/labels/<int:label>/", verdict_views.label_detail, name="label-detail"),
    path(
        "p/<slug:project>/signals/<int:pk>/labels/<int:label>/verdicts/<int:verdict>/",
        verdict_views.exchange_detail,
        name="exchange-detail",
    ),
    path("p/<slug:project>/signals/<int:pk>/labels/<int:label>/retry/", verdict_views.label_again, name="label-again"),
    path("p/<slug:project>/signals/<int:pk>/labels/", label_views.label_export, name="label-export"),
    path("p/<slug:project>/signals/<int:pk>/edit/", views.signal_edit, name="signal-edit"),
    path("p/<slug:project>/signals/<int:pk>/activate/", views.signal_activate, name="signal-activate"),
    path("p/<slug:project>/signals/<int:pk>/disable/", views.signal_disable, name="signal-disable"),
    path("p/<slug:project>/signals/<int:pk>/archive/", views.signal_archive, name="signal-archive"),
    path("p/<slug:project>/signals/<int:pk>/unarchive/", views.signal_unarchive, name="signal-unarchive"),
    path("p/<slug:project>/signals/cap/", views.project_cap, name="project-cap"),
    path("p/<slug:project>/signals/<int:pk>/cap/", views.signal_cap, name="signal-cap"),
    path("p/<slug:project>/signals/catch-up/", catch_up_views.project_catch_up, name="project-catch-up"),
    path("p/<slug:project>/signals/<int:pk>/catch-up/", catch_up_views.signal_catch_up, name="signal-catch-up"),
    path("p/<slug:project>/signals/<int:pk>/retry/", views.label_retry, name="label-retry"),
]
