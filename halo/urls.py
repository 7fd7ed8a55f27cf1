"""URLs of reports."""

from django.urls import path

from halo.forms.issues import ACTIONS
from halo.views import (
    agent_analysis,
    compare,
    finding_text,
    issues,
    report_actions,
    report_detail,
    report_form,
    report_list,
    schedule_actions,
    schedule_form,
    schedules,
    verify,
)

app_name = "halo"
urlpatterns = [
    path("p/<slug:project>/agents/<int:pk>/analysis/", agent_analysis.agent_analysis, name="agent-analysis"),
    path("p/<slug:project>/agents/<int:pk>/analysis/new/", report_form.report_create, name="report-create"),
    path("p/<slug:project>/agents/<int:pk>/analysis/preview/", report_form.report_preview, name="report-preview"),
    path("p/<slug:project>/issues/", issues.issue_list, name="issue-list"),
    path("p/<slug:project>/issues/<int:pk>/", issues.issue, name="issue"),
    *(
        path(f"p/<slug:project>/issues/<int:pk>/{verb}/", issues.issue_act, {"verb": verb}, name=f"issue-{verb}")
        for verb in ACTIONS
    ),
    path("p/<slug:project>/reports/", report_list.report_list, name="report-list"),
    path("p/<slug:project>/reports/<int:pk>/", report_detail.report, name="report"),
    path("p/<slug:project>/reports/<int:pk>/ask/", report_detail.report_ask, name="report-ask"),
    path("p/<slug:project>/reports/<int:pk>/cancel/", report_actions.report_cancel, name="report-cancel"),
    path("p/<slug:project>/reports/<int:pk>/markdown/", report_actions.report_markdown, name="report-markdown"),
    path("p/<slug:project>/agents/<int:pk>/schedules/", schedules.schedule_list, name="schedule-list"),
    path("p/<slug:project>/agents/<int:pk>/schedules/new/", schedule_form.schedule_create, name="schedule-create"),
    path("p/<slug:project>/schedules/<int:pk>/", schedules.schedule, name="schedule"),
    path("p/<slug:project>/schedules/<int:pk>/edit/", schedule_form.schedule_edit, name="schedule-edit"),
    path("p/<slug:project>/schedules/<int:pk>/enable/", schedule_actions.schedule_enable, name="schedule-enable"),
    path("p/<slug:project>/schedules/<int:pk>/disable/", schedule_actions.schedule_disable, name="schedule-disable"),
    path("p/<slug:project>/schedules/<int:pk>/archive/", schedule_actions.schedule_archive, name="schedule-archive"),
    path(
        "p/<slug:project>/schedules/<int:pk>/unarchive/", schedule_actions.schedule_unarchive, name="schedule-unarchive"
    ),
    path("p/<slug:project>/schedules/<int:pk>/run/", schedule_actions.schedule_run, name="schedule-run"),
    path("p/<slug:project>/reports/<int:pk>/compare/", compare.report_compare, name="report-compare"),
    path("p/<slug:project>/reports/<int:pk>/findings/<int:rank>/", finding_text.finding_text, name="finding-text"),
    path(
        "p/<slug:project>/reports/<int:pk>/findings/<int:rank>/markdown/",
        finding_text.finding_markdown,
        name="finding-markdown",
    ),
    path("p/<slug:project>/reports/<int:pk>/verify/", verify.verify, name="verify"),
    path("p/<slug:project>/issues/<int:pk>/verify/", verify.verify_issue, name="verify-issue"),
]
