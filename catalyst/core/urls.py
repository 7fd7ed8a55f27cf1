"""Pages of the core app."""

from django.urls import path

from catalyst.core import account_views, settings_views, views

app_name = "core"
urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.login, name="login"),
    path("login/<str:token>/", views.login_link, name="login-link"),
    path("logout/", views.logout, name="logout"),
    path("profile/", account_views.profile, name="profile"),
    path("profile/password/", account_views.password_change, name="password-change"),
    path("profile/sign-out-elsewhere/", account_views.sign_out_elsewhere, name="sign-out-elsewhere"),
    path("invitations/<str:token>/", account_views.invitation, name="invitation"),
    path("projects/new/", account_views.project_create, name="project-create"),
    path("p/<slug:project>/settings/", settings_views.project_settings, name="settings"),
    path("p/<slug:project>/settings/retention/", settings_views.retention, name="retention"),
    path("p/<slug:project>/settings/members/", settings_views.member_list, name="member-list"),
    path("p/<slug:project>/settings/members/<int:pk>/role/", settings_views.member_role, name="member-role"),
    path("p/<slug:project>/settings/members/<int:pk>/remove/", settings_views.member_remove, name="member-remove"),
    path(
        "p/<slug:project>/settings/invitations/<int:pk>/revoke/",
        settings_views.invitation_revoke,
        name="invitation-revoke",
    ),
    path("p/<slug:project>/settings/keys/", settings_views.key_list, name="key-list"),
    path("p/<slug:project>/settings/keys/<int:pk>/revoke/", settings_views.key_revoke, name="key-revoke"),
    path("p/<slug:project>/settings/keys/<int:pk>/limit/", settings_views.key_limit, name="key-limit"),
    path("p/<slug:project>/settings/audit/", settings_views.audit_list, name="audit-list"),
]
