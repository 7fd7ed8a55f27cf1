"""The Django admin, for operators."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache


class OperatorSite(AdminSite):
    site_header = site_title = "Catalyst"
    index_title = "Administration"

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().login(request, extra_context)
        if isinstance(response, TemplateResponse) and (response.context_data or {})["form"].is_limited:
            response.status_code = 429
        return response

    def password_change(self, *_: Any, **__: Any) -> HttpResponse:  # type: ignore[override]  # it has another page
        # The profile also records it and signs other browsers out.
        return redirect("core:profile")


class OperatorAdminConfig(AdminConfig):
    default_site = "catalyst.core.admin_site.OperatorSite"
