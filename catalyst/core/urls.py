"""URLs of core."""

from django.urls import path

from catalyst.core.views import account, auth, settings

app_name = "core"
urlpatterns = [
    path("", auth.home, name="home"),
    path("login/", auth.login, name="login"),
    path("login/<str:token>/", auth.login_link, name="login-link"),
    path("password/forgotten/", auth.password_forgotten, name="password-forgotten"),
    path("password/new/<uidb64>/<token>/", auth.password_new, name="password-new"),
    path("logout/", auth.logout, name="logout"),
    path("profile/", account.profile, name="profile"),
    path("profile/password/", account.password_change, name="password-change"),
    path("profile/sign-out-elsewhere/", account.sign_out_elsewhere, name="sign-out-elsewhere"),
    path("invitations/<str:token>/", account.invitation, name="invitation"),
    path("projects/new/", account.project_create, name="project-create"),
    path("p/<slug:project>/settings/", settings.project_settings, name="settings"),
    path("p/<slug:project>/settings/retention/", settings.retention, name="retention"),
    path("p/<slug:project>/settings/members/", settings.member_list, name="member-list"),
    path("p/<slug:project>/settings/members/<int:pk>/role/", settings.member_role, name="member-role"),
    path("p/<slug:project>/settings/members/<int:pk>/remove/", settings.member_remove, name="member-remove"),
    path(
        "p/<slug:project>/settings/invitations/<int:pk>/revoke/",
        settings.invitation_revoke,
        name="invitation-revoke",
    ),
    path("p/<slug:project>/settings/keys/", settings.key_list, name="key-list"),
    path("p/<slug:project>/settings/keys/<int:pk>/revoke/", settings.key_revoke, name="key-revoke"),
    path("p/<slug:project>/settings/keys/<int:pk>/limit/", settings.key_limit, name="key-limit"),
    path("p/<slug:project>/settings/keys/<int:pk>/origins/", settings.key_origins, name="key-origins"),
    path("p/<slug:project>/settings/audit/", settings.audit_list, name="audit-list"),
]
