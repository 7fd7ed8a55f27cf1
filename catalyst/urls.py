"""Root URLs. Pages of a project are under /p/<project>/."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from catalyst.styleguide import styleguide

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("catalyst.core.urls")),
    path("", include("catalyst.llms.urls")),
    path("", include("traces.urls")),
    path("", include("signals.urls")),
    path("", include("halo.urls")),
    path("", include("alerts.urls")),
    path("", include("catalyst.ops.urls")),
    path("admin/", admin.site.urls),
]
if settings.DEBUG:
    urlpatterns.append(path("styleguide/", styleguide, name="styleguide"))
