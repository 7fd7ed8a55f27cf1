"""URLs of ops."""

from django.urls import path

from catalyst.ops.monitoring import views

app_name = "ops"
urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    path("operator/", views.operator, name="operator"),
]
