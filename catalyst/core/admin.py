"""Operators' view of people, projects and keys."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.audit import record
from catalyst.core.forms import OperatorLoginForm
from catalyst.core.models import ApiKey, AuditEntry, Invitation, KeyHour, Membership, Project, SignIn, User

admin.site.login_form = OperatorLoginForm
admin.site.site_header = admin.site.site_title = "Catalyst"
admin.site.index_title = "Administration"


def operator(request: HttpRequest) -> Actor:
    """Who works in the administration."""
    return Actor(cast(User, request.user))


class AccountForm(UserChangeForm[User]):
    """An account as operators change it."""

    def clean_is_active(self) -> bool:
        """Whether somebody can sign in; the last owner of a project must."""
        active = bool(self.cleaned_data["is_active"])
        if not active and (left := _left_alone([self.instance])):
            raise ValidationError(f"Make somebody else an owner first, or delete the project: {', '.join(left)}.")
        return active


@admin.register(User)
class AccountAdmin(UserAdmin[User]):
    """People who sign in. The last owner of a project can be neither disabled nor deleted."""

    form = AccountForm

    def get_deleted_objects(
        self, objs: Sequence[User] | QuerySet[User], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What deleting these people would take along, and what forbids it."""
        deleted, counts, perms_needed, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, perms_needed, [*protected, *_left_alone(objs)]


def _left_alone(users: Iterable[User]) -> list[str]:
    """The projects that would have no owner without these people, in words."""
    found = Membership.objects.last_of(list(users)).order_by("project__name")
    return [f"{each.project}, whose last owner is {each.user}" for each in found]


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
    """Who may do what in a project. Here somebody is let in; roles are changed under the project's Settings."""

    model = Membership
    autocomplete_fields = ("user",)
    extra = 0
    can_delete = False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Changed under Settings, where a project keeps an owner."""
        return False


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin[Project]):
    """Projects and their members. They are made in the product; what is done here is in their audit log."""

    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    fields = ("name", "slug")
    readonly_fields = ("slug",)
    inlines = (MembershipInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Projects are not made here."""
        return False

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        """Rename."""
        operations.rename_project(obj, name=obj.name, by=operator(request))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Let people in."""
        for membership in formset.save(commit=False):
            operations.add_member(form.instance, user=membership.user, role=membership.role, by=operator(request))

    def delete_model(self, request: HttpRequest, obj: Project) -> None:
        """Delete with everything in it, but for the audit log."""
        record(operator(request), "deleted", obj)
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Project]) -> None:
        """Delete each."""
        for project in queryset:
            self.delete_model(request, project)


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin[ApiKey]):
    """Keys, to look at and revoke; they are made under a project's Settings, where the key is shown once."""

    list_display = ("name", "hint", "project", "scopes", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("project", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("project",)
    search_fields = ("name", "hint")
    readonly_fields = (
        *("project", "hint", "scopes", "created_by_name", "created_at", "last_used_at", "expires_at", "revoked_at"),
        *("requests_per_second", "spans_per_second"),
    )
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Keys are not made here."""
        return False

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Revoke at once; senders that use the key get 401."""
        keys = queryset.select_related("project")
        revoked = sum(operations.revoke_key(key, by=operator(request), now=timezone.now()) for key in keys)
        self.message_user(request, f"{revoked} keys revoked.")


@admin.register(KeyHour)
class KeyHourAdmin(ReadOnly[KeyHour]):
    """What keys were used for, by hour."""

    list_display = ("key", "hour", "what", "count")
    list_filter = ("what",)
    list_select_related = ("key",)
    ordering = ("-hour", "key", "what")


@admin.register(Invitation)
class InvitationAdmin(ReadOnly[Invitation]):
    """Invitations; they are made and revoked under a project's Settings."""

    list_display = ("project", "role", "created_by_name", "created_at", "expires_at", "accepted_by", "revoked_at")
    list_filter = ("role", "project")
    list_select_related = ("project", "accepted_by")
    exclude = ("digest",)
    ordering = ("-id",)


@admin.register(SignIn)
class SignInAdmin(ReadOnly[SignIn]):
    """Browsers that are signed in."""

    list_display = ("user", "browser", "address", "created_at", "seen_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    exclude = ("session",)
    ordering = ("-seen_at",)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly[AuditEntry]):
    """Who changed what."""

    list_display = ("created_at", "actor_name", "action", "kind", "target_name", "detail", "project")
    list_filter = ("kind", "action", "project")
    list_select_related = ("project",)
    search_fields = ("actor_name", "target_name")
    ordering = ("-id",)
