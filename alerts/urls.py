"""URLs of alerts."""

from django.urls import path

from alerts.views import alert_actions, alert_detail, alert_editor, alert_list, tabs

app_name = "alerts"
urlpatterns = [
    path("p/<slug:project>/alerts/", alert_list.alert_list, name="alert-list"),
    path("p/<slug:project>/alerts/bulk/", alert_list.alert_bulk, name="alert-bulk"),
    path("p/<slug:project>/alerts/new/", alert_editor.alert_create, name="alert-create"),
    path("p/<slug:project>/alerts/backtest/", alert_editor.backtest_show, name="backtest-show"),
    path("p/<slug:project>/alerts/<int:pk>/", alert_detail.alert_detail, name="alert-detail"),
    path("p/<slug:project>/alerts/<int:pk>/edit/", alert_editor.alert_edit, name="alert-edit"),
    path("p/<slug:project>/alerts/<int:pk>/enable/", alert_actions.alert_enable, name="alert-enable"),
    path("p/<slug:project>/alerts/<int:pk>/disable/", alert_actions.alert_disable, name="alert-disable"),
    path("p/<slug:project>/alerts/<int:pk>/mute/", alert_actions.alert_mute, name="alert-mute"),
    path("p/<slug:project>/alerts/<int:pk>/unmute/", alert_actions.alert_unmute, name="alert-unmute"),
    path("p/<slug:project>/alerts/<int:pk>/archive/", alert_actions.alert_archive, name="alert-archive"),
    path("p/<slug:project>/alerts/<int:pk>/unarchive/", alert_actions.alert_unarchive, name="alert-unarchive"),
    path("p/<slug:project>/signals/<int:pk>/alerts/", tabs.signal_alerts, name="signal-alerts"),
    path("p/<slug:project>/agents/<int:pk>/alerts/", tabs.agent_alerts, name="agent-alerts"),
]
