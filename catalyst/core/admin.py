"""Operators' view of people, projects and keys."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from catalyst.core.models import ApiKey, Membership, Project, User

admin.site.register(User, UserAdmin)


class ReadOnly[M: Model](admin.ModelAdmin[M]):
    """Rows that only the product writes."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Made by the product alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Changed by the product alone."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Deleted by the product alone."""
        return False


class MembershipInline(admin.TabularInline[Membership, Project]):
    """Who may do what in a project."""

    model = Membership
    autocomplete_fields = ("user",)
    extra = 0


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin[Project]):
    """Projects and their members."""

    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin[ApiKey]):
    """Keys, to look at and revoke; they are made under a project's Settings, where the key is shown once."""

    list_display = ("name", "hint", "project", "scopes", "last_used_at", "revoked_at")
    list_filter = ("project", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("project",)
    search_fields = ("name", "hint")
    readonly_fields = ("project", "hint", "scopes", "created_by", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Keys are not made here."""
        return False

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Revoke at once; senders that use the key get 401."""
        now: datetime = timezone.now()
        revoked = queryset.filter(revoked_at=None).update(revoked_at=now)
        self.message_user(request, f"{revoked} keys revoked.")
