"""Secrets of users: encrypted in the database and in memory, and shown nowhere."""

import copy
import json
import pickle
from io import StringIO
from typing import Any, ClassVar

import pytest
from django import forms
from django.apps.registry import Apps
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.utils import display_for_field
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.core.management import call_command
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models
from django.forms.models import model_to_dict
from django.template import Context, Template
from django.test import RequestFactory
from django.test.utils import isolate_apps
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from catalyst.core.encrypted_fields import MASK, EncryptedTextField, Secret, SecretUnreadable, encrypted_fields
from catalyst.core.key_rotation import Rotation, reencrypt_secrets
from catalyst.env import Env
from tests.page import Page

OLD, NEW, OTHER = "an old key".ljust(50, "-"), "a new key".ljust(50, "-"), "another key".ljust(50, "-")

with isolate_apps("catalyst.core") as isolated:

    class Vault(models.Model):
        """A table for these tests."""

        name = models.CharField(max_length=20)
        token = EncryptedTextField(context="core.vault.token")
        note = EncryptedTextField(context="core.vault.note", blank=True)

        objects: ClassVar[models.Manager["Vault"]] = models.Manager()

        class Meta:
            app_label = "core"
            ordering = ["pk"]


assert isolated is not None
registry: Apps = isolated

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _table(db: None, settings: Settings) -> None:
    settings.SECRET_KEY = OLD
    with connection.schema_editor() as editor:
        editor.create_model(Vault)


def stored(vault: Vault, column: str = "token") -> str:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT "{column}" FROM core_vault WHERE id = %s', [vault.pk])
        return str(cursor.fetchone()[0])


def rotate(settings: Settings) -> Rotation:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    return reencrypt_secrets(registry)


# Storing


@pytest.mark.parametrize(
    "text", ["s3cret", "ключ ✓", json.dumps({"url": "https://x", "n": [1]}), "a\x00b\n", "x" * 10_000, " "]
)
def test_it_gives_back_what_was_stored(text: str) -> None:
    vault = Vault.objects.create(name="a", token=text)
    assert vault.token.reveal() == text
    again = Vault.objects.get()
    assert again.token.reveal() == text
    assert text.strip() == "" or text not in stored(vault)


@given(st.text())
def test_it_gives_back_any_text(text: str) -> None:
    surrogates = any("\ud800" <= character <= "\udfff" for character in text)
    assert surrogates or Secret.encrypt(text, "a").reveal() == text


def test_the_same_text_is_stored_differently_each_time() -> None:
    assert Secret.encrypt("s3cret", "a").stored != Secret.encrypt("s3cret", "a").stored


def test_it_says_whether_there_is_a_secret_without_decrypting_it(settings: Settings) -> None:
    Vault.objects.create(name="a", token="s3cret")
    settings.SECRET_KEY = OTHER
    vault = Vault.objects.get()
    assert (bool(vault.token), bool(vault.note)) == (True, False)
    assert vault.note.reveal() == ""
    assert [found.name for found in Vault.objects.exclude(token="")] == ["a"]
    assert [found.name for found in Vault.objects.filter(note="")] == ["a"]


def test_it_is_written_by_updates_too() -> None:
    vault = Vault.objects.create(name="a", token="first")
    Vault.objects.update(token="second")
    vault.refresh_from_db()
    assert vault.token.reveal() == "second"
    Vault.objects.bulk_update([Vault(pk=vault.pk, token="third")], ["token"])
    assert Vault.objects.defer("token").get().token.reveal() == "third"
    (made,) = Vault.objects.bulk_create([Vault(name="b", token="fourth")])
    assert Vault.objects.get(pk=made.pk).token.reveal() == "fourth"
    assert "third" not in stored(vault)


def test_saving_a_row_leaves_its_stored_secret_as_it_is() -> None:
    vault = Vault.objects.create(name="a", token="s3cret")
    before = stored(vault)
    again = Vault.objects.get()
    again.name = "b"
    again.save(update_fields=["name", "token"])
    assert stored(vault) == before


def test_a_secret_goes_to_another_field_when_it_is_assigned() -> None:
    vault = Vault.objects.create(name="a", token="s3cret")
    vault.note = vault.token
    vault.save(update_fields=["note"])
    assert Vault.objects.get().note.reveal() == "s3cret"


@pytest.mark.parametrize("value", [b"s3cret", 7, ["s3cret"]])
def test_it_takes_text_only(value: Any) -> None:
    with pytest.raises(TypeError, match=r"core\.vault\.token must be text") as caught:
        Vault(name="a", token=value)
    assert "s3cret" not in str(caught.value)


def test_it_can_be_compared_with_nothing_but_emptiness() -> None:
    for lookup in (
        {"token": "s3cret"},
        {"token__contains": "s"},
        {"token__in": ["s3cret"]},
        {"token__startswith": "s"},
    ):
        with pytest.raises(FieldError) as caught:
            Vault.objects.filter(**lookup)
        assert "s3cret" not in str(caught.value)


# Showing


def test_it_is_shown_nowhere() -> None:
    Vault.objects.create(name="a", token="s3cret")
    vault = Vault.objects.get()
    row = Vault.objects.values("token").get()
    shown = [
        repr(vault.token),
        str(vault.token),
        f"{vault.token}",
        repr(vars(vault)),
        repr(row),
        repr(model_to_dict(vault)),
    ]
    shown += [repr(Vault.objects.values_list("token", flat=True)), json.dumps(row, default=str)]
    shown += [serializers.serialize("json", [vault]), repr(pickle.dumps(vault)), repr(copy.deepcopy(vault.token))]
    shown += [str(display_for_field(vault.token, Vault._meta.get_field("token"), "-"))]
    template = Template("{{ vault.token }}{{ vault.token.reveal }}{% if vault.token %}is set{% endif %}")
    shown += [template.render(Context({"vault": vault}))]
    assert [text for text in shown if "s3cret" in text] == []
    assert shown[-1] == f"{MASK}is set"
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(row, cls=DjangoJSONEncoder)
    assert pickle.loads(pickle.dumps(vault.token)).reveal() == "s3cret"


def test_a_new_value_is_hidden_before_it_is_saved() -> None:
    vault = Vault(name="a", token="s3cret")
    assert "s3cret" not in repr(vars(vault))
    assert vault.token.reveal() == "s3cret"


# Forms and the administration


def form_class() -> type[forms.ModelForm[Vault]]:
    return ModelAdmin(Vault, AdminSite()).get_form(RequestFactory().get("/"), change=True)


def test_a_form_never_contains_the_secret() -> None:
    vault = Vault.objects.create(name="a", token="s3cret")
    page = form_class()(instance=vault).as_p()
    assert "s3cret" not in page
    assert stored(vault) not in page
    assert Page(page).field("Token:").attribute("type") == "password"
    assert "Leave empty to keep it" in page
    typed = form_class()({"name": "", "token": "typed"}, instance=vault).as_p()
    assert "typed" not in typed


def test_an_empty_input_keeps_the_secret_and_another_one_replaces_it() -> None:
    vault = Vault.objects.create(name="a", token="s3cret")
    kept = form_class()({"name": "b", "token": "", "note": ""}, instance=Vault.objects.get())
    assert kept.is_valid()
    assert kept.changed_data == ["name"]
    kept.save()
    vault.refresh_from_db()
    assert (vault.name, vault.token.reveal()) == ("b", "s3cret")
    replaced = form_class()({"name": "b", "token": " new ", "note": "n"}, instance=Vault.objects.get())
    assert replaced.is_valid()
    assert replaced.changed_data == ["token", "note"]
    replaced.save()
    vault.refresh_from_db()
    assert (vault.token.reveal(), vault.note.reveal()) == ("new", "n")


def test_a_required_secret_must_be_entered_once() -> None:
    form = form_class()({"name": "a", "token": "", "note": ""})
    assert form.errors == {"token": ["Enter a value"]}
    assert form["token"].build_widget_attrs({})["required"]
    with pytest.raises(ValidationError, match="cannot be blank"):
        Vault(name="a").full_clean()
    Vault(name="a", token="s3cret").full_clean()


# Keys


def test_it_says_which_setting_is_missing_when_the_key_has_changed(settings: Settings) -> None:
    Vault.objects.create(name="a", token="s3cret")
    settings.SECRET_KEY = NEW
    with pytest.raises(SecretUnreadable, match=r"core\.vault\.token.*CATALYST_OLD_SECRET_KEYS"):
        Vault.objects.get().token.reveal()
    settings.SECRET_KEY_FALLBACKS = [OTHER, OLD]
    assert Vault.objects.get().token.reveal() == "s3cret"


@pytest.mark.parametrize("change", [lambda text: text[:-6] + "AAAA==", lambda text: text + "é", lambda text: text[:9]])
def test_it_refuses_a_value_that_was_changed(change: Any) -> None:
    secret = Secret.encrypt("s3cret", "a")
    with pytest.raises(SecretUnreadable, match="was changed or moved here"):
        Secret(change(secret.stored), "a").reveal()


def test_it_refuses_a_value_that_was_never_encrypted() -> None:
    with pytest.raises(SecretUnreadable) as caught:
        Secret("s3cret", "a").reveal()
    assert "s3cret" not in str(caught.value)


def test_a_value_cant_be_moved_to_another_column() -> None:
    vault = Vault.objects.create(name="a", token="s3cret")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_vault SET note = token")
    with pytest.raises(SecretUnreadable, match=r"core\.vault\.note.*moved here from another column"):
        Vault.objects.get().note.reveal()
    assert vault.token.reveal() == "s3cret"


def test_rotation_encrypts_with_the_newest_key(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalyst.core.key_rotation.BATCH_ROWS", 2)
    vaults = [
        Vault.objects.create(name=str(number), token=f"token {number}", note="n" * (number % 2)) for number in range(7)
    ]
    assert reencrypt_secrets(registry) == Rotation(0, ())
    assert rotate(settings) == Rotation(7 + 3, ())
    settings.SECRET_KEY_FALLBACKS = []
    assert [vault.token.reveal() for vault in Vault.objects.all()] == [f"token {number}" for number in range(7)]
    assert [vault.note.reveal() for vault in Vault.objects.all()] == ["n" * (number % 2) for number in range(7)]
    before = stored(vaults[0])
    assert rotate(settings) == Rotation(0, ())
    assert stored(vaults[0]) == before


def test_rotation_goes_on_where_it_was_interrupted(settings: Settings) -> None:
    Vault.objects.create(name="a", token="first")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    done = Vault.objects.create(name="b", token="second")
    before = stored(done)
    assert rotate(settings).reencrypted == 1
    assert stored(done) == before


def test_rotation_leaves_and_names_what_it_cant_decrypt(settings: Settings) -> None:
    settings.SECRET_KEY = OTHER
    lost = Vault.objects.create(name="lost", token="s3cret")
    before = stored(lost)
    settings.SECRET_KEY = OLD
    Vault.objects.create(name="fine", token="s3cret")
    rotation = rotate(settings)
    assert rotation.reencrypted == 1
    (unreadable,) = rotation.unreadable
    assert (unreadable.context, unreadable.pk) == ("core.vault.token", lost.pk)
    assert "CATALYST_OLD_SECRET_KEYS" in unreadable.error
    assert stored(lost) == before


def test_rotation_does_not_undo_a_change_made_meanwhile(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault.objects.create(name="a", token="before")
    reveal = Secret.reveal

    def slow_reveal(secret: Secret) -> str:
        Vault.objects.update(token="after")
        return reveal(secret)

    monkeypatch.setattr(Secret, "reveal", slow_reveal)
    assert rotate(settings).reencrypted == 0
    monkeypatch.undo()
    vault.refresh_from_db()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    assert vault.token.reveal() == "after"


# Declaring


def test_it_finds_the_encrypted_fields_of_all_models() -> None:
    assert [field.context for _, field in encrypted_fields(registry)] == ["core.vault.token", "core.vault.note"]


def test_a_migration_names_the_context() -> None:
    _, path, _, kwargs = Vault._meta.get_field("note").deconstruct()
    assert path == "catalyst.core.encrypted_fields.EncryptedTextField"
    assert kwargs == {"context": "core.vault.note", "blank": True}


@isolate_apps("catalyst.core")
def test_a_field_needs_a_context_of_its_own_and_cant_be_null_or_unique() -> None:
    class Wrong(models.Model):
        nameless = EncryptedTextField()
        empty = EncryptedTextField(context="a", null=True)  # type: ignore[misc]
        only = EncryptedTextField(context="b", unique=True)
        same = EncryptedTextField(context="b")

        class Meta:
            app_label = "core"

    found = [(problem.id, problem.obj.name) for problem in Wrong.check() if str(problem.id).startswith("catalyst")]
    assert found == [
        ("catalyst.E007", "nameless"),
        ("catalyst.E008", "empty"),
        ("catalyst.E006", "only"),
        ("catalyst.E008", "only"),
        ("catalyst.E006", "same"),
    ]


# Operating


def test_the_command_reports_what_it_did() -> None:
    out = StringIO()
    call_command("reencrypt_secrets", stdout=out)
    assert out.getvalue() == (
        "0 secrets encrypted with the newest key.\nNo secret needs CATALYST_OLD_SECRET_KEYS anymore.\n"
    )


def test_old_keys_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Env().old_secret_keys == []
    monkeypatch.setenv("CATALYST_OLD_SECRET_KEYS", "older, oldest,")
    assert Env().old_secret_keys == ["older", "oldest"]
