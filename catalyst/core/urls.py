"""Pages of the core app."""

from django.urls import path

from catalyst.core import views

app_name = "core"
urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.login, name="login"),
    path("login/<str:token>/", views.login_link, name="login-link"),
    path("logout/", views.logout, name="logout"),
    path("p/<slug:project>/settings/", views.project_settings, name="settings"),
    path("p/<slug:project>/settings/keys/", views.key_create, name="key-create"),
    path("p/<slug:project>/settings/keys/<int:pk>/revoke/", views.key_revoke, name="key-revoke"),
]
