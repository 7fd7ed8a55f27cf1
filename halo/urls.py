"""URLs of reports."""

from django.urls import path

from halo.views import agent_analysis, report_actions, report_detail, report_form, report_list

app_name = "halo"
urlpatterns = [
    path("p/<slug:project>/agents/<int:pk>/analysis/", agent_analysis.agent_analysis, name="agent-analysis"),
    path("p/<slug:project>/agents/<int:pk>/analysis/new/", report_form.report_create, name="report-create"),
    path("p/<slug:project>/agents/<int:pk>/analysis/preview/", report_form.report_preview, name="report-preview"),
    path("p/<slug:project>/reports/", report_list.report_list, name="report-list"),
    path("p/<slug:project>/reports/<int:pk>/", report_detail.report, name="report"),
    path("p/<slug:project>/reports/<int:pk>/cancel/", report_actions.report_cancel, name="report-cancel"),
    path("p/<slug:project>/reports/<int:pk>/markdown/", report_actions.report_markdown, name="report-markdown"),
]
