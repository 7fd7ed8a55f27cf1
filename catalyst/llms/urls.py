"""URLs of model connections."""

from django.urls import path

from catalyst.llms import views

app_name = "llms"
urlpatterns = [
    path("p/<slug:project>/settings/models/", views.connection_list, name="connection-list"),
    path("p/<slug:project>/settings/models/new/", views.connection_create, name="connection-create"),
    path("p/<slug:project>/settings/models/<int:pk>/", views.connection_edit, name="connection-edit"),
    path("p/<slug:project>/settings/models/<int:pk>/test/", views.connection_test, name="connection-test"),
    path("p/<slug:project>/settings/models/<int:pk>/revoke/", views.connection_revoke, name="connection-revoke"),
    path("p/<slug:project>/settings/models/<int:pk>/delete/", views.connection_delete, name="connection-delete"),
]
