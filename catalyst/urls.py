"""Where everything is. All pages of a project lie under /p/<project>/."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("catalyst.core.urls")),
    path("", include("traces.urls")),
    path("", include("signals.urls")),
    path("admin/", admin.site.urls),
]
