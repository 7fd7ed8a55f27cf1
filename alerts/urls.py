"""URLs of alerts and channels."""

from django.urls import path

from alerts.views import alert_actions, alert_detail, alert_editor, alert_list, channels, mails, tabs

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
    path("p/<slug:project>/settings/channels/", channels.channel_list, name="channel-list"),
    path("p/<slug:project>/settings/channels/new/", channels.channel_create, name="channel-create"),
    path("p/<slug:project>/settings/channels/excerpts/", channels.channel_excerpts, name="channel-excerpts"),
    path("p/<slug:project>/settings/channels/choices/", channels.channel_choices, name="channel-choices"),
    path("p/<slug:project>/settings/channels/<int:pk>/", channels.channel_edit, name="channel-edit"),
    path("p/<slug:project>/settings/channels/<int:pk>/messages/", channels.delivery_list, name="delivery-list"),
    path("p/<slug:project>/settings/channels/<int:pk>/test/", channels.channel_test, name="channel-test"),
    path("p/<slug:project>/settings/channels/<int:pk>/enable/", channels.channel_enable, name="channel-enable"),
    path("p/<slug:project>/settings/channels/<int:pk>/disable/", channels.channel_disable, name="channel-disable"),
    path("p/<slug:project>/settings/channels/<int:pk>/delete/", channels.channel_delete, name="channel-delete"),
    path(
        "p/<slug:project>/settings/channels/<int:pk>/addresses/<int:recipient>/ask/",
        channels.recipient_ask,
        name="recipient-ask",
    ),
    path("profile/mails/", mails.own_mails, name="own-mails"),
    path("mails/confirm/<str:token>/", mails.mail_confirm, name="mail-confirm"),
    path("mails/stop/<str:token>/", mails.mail_stop, name="mail-stop"),
]
