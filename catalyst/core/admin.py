"""The admin of people, projects and keys."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.audit import record
from catalyst.core.forms import OperatorLoginForm
from catalyst.core.models import ApiKey, AuditEntry, Invitation, KeyHour, Membership, Project, SignIn, User
from catalyst.core.usernames import check_scripts

admin.site.login_form = OperatorLoginForm


def operator(request: HttpRequest) -> Actor:
    return Actor(cast(User, request.user))


class NewAccountForm(AdminUserCreationForm[User]):
    def clean_username(self) -> str:
        username = super().clean_username()
        if username:  # none if it is taken
            check_scripts(username)
        return username


class AccountForm(UserChangeForm[User]):
    def clean_username(self) -> str:
        username = str(self.cleaned_data["username"])
        if username != self.instance.username:
            check_scripts(username)
        return username

    def clean_is_active(self) -> bool:
        active = bool(self.cleaned_data["is_active"])
        if not active and (projects := _ownerless_projects([self.instance])):
            raise ValidationError(f"Make somebody else an owner first, or delete the project: {', '.join(projects)}.")
        return active


@admin.register(User)
class AccountAdmin(UserAdmin[User]):
    # The last owner of a project can be neither disabled nor deleted.
    # Changes here are in the audit log, without a project.
    form = AccountForm
    add_form = NewAccountForm

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            record(operator(request), "created", obj)
        elif form.changed_data:
            record(operator(request), _action(obj, form.changed_data), obj, detail=_changes(obj, form))

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        # The page of the password calls no other hook.
        if request.resolver_match and request.resolver_match.url_name == "auth_user_password_change":
            verb = "set" if obj.has_usable_password() else "removed"
            record(operator(request), f"{verb} the password of", obj)
        return super().log_change(request, obj, message)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: User) -> None:
        for membership in obj.own_memberships:
            record(operator(request), "removed", membership)
        record(operator(request), "deleted", obj)
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            self.delete_model(request, user)

    def get_deleted_objects(
        self, objs: Sequence[User] | QuerySet[User], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        deleted, counts, perms_needed, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, perms_needed, [*protected, *_ownerless_projects(objs)]


def _action(user: User, changed: Sequence[str]) -> str:
    if "is_active" in changed:
        return "activated" if user.is_active else "deactivated"
    return "renamed" if "username" in changed else "changed"


def _changes(user: User, form: Any) -> str:
    return ", ".join(_change(user, name, form.initial.get(name)) for name in form.changed_data)


def _change(user: User, name: str, before: object) -> str:
    # Without values that may be private.
    if name == "username":
        return f"username from {before}"
    value = getattr(user, name)
    return f"{name} {'on' if value else 'off'}" if isinstance(value, bool) else name


def _ownerless_projects(users: Iterable[User]) -> list[str]:
    # These projects would have no owner without these people.
    memberships = Membership.objects.last_of(list(users)).order_by("project__name")
    return [f"{row.project}, whose last owner is {row.user}" for row in memberships]


class ReadOnly[M: Model](admin.ModelAdmin[M]):
    """Rows that only Catalyst writes."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


class MembershipInline(admin.TabularInline[Membership, Project]):
    # Adds members. Roles change under Settings, where a project keeps an owner.
    model = Membership
    autocomplete_fields = ("user",)
    extra = 0
    can_delete = False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ProjectForm(forms.ModelForm[Project]):
    by: ClassVar[Actor]

    def clean(self) -> None:
        if "name" in self.changed_data and "name" in self.cleaned_data:
            operations.check_rename(self.instance, name=self.cleaned_data["name"], by=self.by)


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin[Project]):
    # Changes here are in the audit log of the project.
    form = ProjectForm
    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    fields = ("name", "slug")
    readonly_fields = ("slug",)
    inlines = (MembershipInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_form(
        self, request: HttpRequest, obj: Project | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Project]]:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"by": operator(request)})

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        operations.rename_project(obj, name=obj.name, by=operator(request))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        for membership in formset.save(commit=False):
            operations.add_member(form.instance, user=membership.user, role=membership.role, by=operator(request))

    def delete_model(self, request: HttpRequest, obj: Project) -> None:
        record(operator(request), "deleted", obj)
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Project]) -> None:
        for project in queryset:
            self.delete_model(request, project)


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin[ApiKey]):
    # Keys are created under Settings, which shows them once.
    list_display = ("name", "hint", "project", "scopes", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("project", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("project",)
    search_fields = ("name", "hint")
    readonly_fields = (
        *("project", "hint", "scopes", "created_by_name", "created_at", "last_used_at", "expires_at", "revoked_at"),
        *("requests_per_second", "spans_per_second", "origins"),
    )
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        # Senders get 401 at once.
        keys = queryset.select_related("project")
        revoked = sum(operations.revoke_key(key, by=operator(request), now=timezone.now()) for key in keys)
        self.message_user(request, f"{revoked} keys revoked.")


@admin.register(KeyHour)
class KeyHourAdmin(ReadOnly[KeyHour]):
    list_display = ("key", "hour", "what", "count")
    list_filter = ("what",)
    list_select_related = ("key",)
    ordering = ("-hour", "key", "what")


@admin.register(Invitation)
class InvitationAdmin(ReadOnly[Invitation]):
    list_display = ("project", "role", "created_by_name", "created_at", "expires_at", "accepted_by", "revoked_at")
    list_filter = ("role", "project")
    list_select_related = ("project", "accepted_by")
    exclude = ("digest",)
    ordering = ("-id",)


@admin.register(SignIn)
class SignInAdmin(ReadOnly[SignIn]):
    list_display = ("user", "browser", "address", "created_at", "seen_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    exclude = ("session",)
    ordering = ("-seen_at",)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly[AuditEntry]):
    list_display = ("created_at", "actor_name", "action", "kind", "target_name", "detail", "project")
    list_filter = ("kind", "action", "project")
    list_select_related = ("project",)
    search_fields = ("actor_name", "target_name")
    ordering = ("-id",)
