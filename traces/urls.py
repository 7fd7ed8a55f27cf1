"""Pages of the traces app."""

from django.urls import path

from traces import views

app_name = "traces"
urlpatterns = [
    path("p/<slug:project>/traces/", views.trace_list, name="trace-list"),
]
