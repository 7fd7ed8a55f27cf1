"""How senders pass their key, and what a refusal tells them."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from catalyst.core.models import ApiKey
from tests.traces.cases.door import knock
from tests.traces.cases.sender import JSON, Sender

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]


def basic(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


FORMS: dict[str, Any] = {
    "bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "bearer in small letters": lambda key: {"Authorization": f"bearer {key}"},
    "BEARER": lambda key: {"Authorization": f"BEARER {key}"},
    "two spaces": lambda key: {"Authorization": f"Bearer  {key}"},
    "spaces around": lambda key: {"Authorization": f" Bearer {key} "},
    "encoded space": lambda key: {"Authorization": f"Bearer%20{key}"},
    "key alone": lambda key: {"Authorization": key},
    "key": lambda key: {"x-api-key": key},
    "key with spaces": lambda key: {"x-api-key": f" {key} "},
    "basic, password": lambda key: {"Authorization": basic(f"pk-lf-anything:{key}")},
    "basic, user": lambda key: {"Authorization": basic(f"{key}:")},
    "basic, user without a colon": lambda key: {"Authorization": basic(key)},
    "basic in small letters": lambda key: {"Authorization": basic(f"x:{key}").replace("Basic", "basic")},
    "basic, encoded space": lambda key: {"Authorization": quote(basic(f"x:{key}"), safe="=")},
    "basic, no padding": lambda key: {"Authorization": basic(f"x:{key}").rstrip("=")},
    "all encoded": lambda key: {"Authorization": quote(f"Bearer {key}")},
    "in quotes": lambda key: {"Authorization": f'"Bearer {key}"'},
    "key in quotes": lambda key: {"Authorization": f'Bearer "{key}"'},
    "both headers": lambda key: {"Authorization": basic("user:of-a-proxy"), "x-api-key": key},
}


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics", "/api/public/otel/v1/traces"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_key_works_in_the_forms_that_senders_have(sender: Sender, form: Any, path: str) -> None:
    response = knock("POST", path, form(sender.key), b"{}")
    assert response.status_code == 200, response.content


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "no header": ({}, "no API key"),
    "empty": ({"Authorization": ""}, "no API key"),
    "scheme alone": ({"Authorization": "Bearer"}, ""),
    "unknown key": ({"Authorization": "Bearer cat_unknown"}, "unknown"),
    "key of another product": ({"Authorization": "Bearer sk-proj-aaaabbbbcccc"}, ""),
    "basic of nothing": ({"Authorization": "Basic"}, ""),
    "basic that is no base64": ({"Authorization": "Basic %%%"}, ""),
    "basic without a key": ({"Authorization": basic("me:password-of-mine")}, ""),
    "basic in another alphabet": ({"Authorization": "Basic " + b64encode(b"\xff\xfe:x").decode()}, ""),
    "digest": ({"Authorization": 'Digest username="me", response="password-of-mine"'}, ""),
    "template": ({"Authorization": "Bearer YOUR_KEY"}, ""),
    "variable": ({"Authorization": "Bearer ${CATALYST_KEY}"}, ""),
    "undefined": ({"Authorization": "Bearer undefined"}, ""),
    "api key of Azure": ({"api-key": "cat_unknown"}, ""),
    "empty x-api-key": ({"x-api-key": ""}, "no API key"),
}


@pytest.mark.parametrize(("headers", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_what_came_and_never_repeats_it(
    sender: Sender, client: Client, headers: dict[str, str], words: str
) -> None:
    response = client.post("/v1/traces", b"{}", JSON, headers=headers)
    assert response.status_code == 401
    message = response.json()["message"]
    assert words.lower() in message.lower()
    for secret in ("cat_unknown", "sk-proj-aaaabbbbcccc", "password-of-mine"):
        assert secret not in message


def test_each_refusal_differs_from_that_of_no_header(sender: Sender, client: Client) -> None:
    def message(headers: dict[str, str]) -> str:
        return str(client.post("/v1/traces", b"{}", JSON, headers=headers).json()["message"])

    nothing = message({})
    for name in ("unknown key", "key of another product", "basic without a key", "digest", "basic that is no base64"):
        assert message(REFUSED[name][0]) != nothing, name


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
@pytest.mark.parametrize("form", ["bearer", "basic, password", "encoded space", "key alone"])
def test_a_key_that_ended_is_told_so(sender: Sender, client: Client, now: Any, field: str, form: str) -> None:
    ApiKey.objects.update(**{field: now})
    response = client.post("/v1/traces", b"{}", JSON, headers=FORMS[form](sender.key))
    assert response.status_code == 401
    assert field.split("ed_", maxsplit=1)[0].split("es_", maxsplit=1)[0] in response.json()["message"]
    assert sender.key not in response.text


@pytest.mark.parametrize("form", ["bearer", "basic, password", "encoded space", "key alone", "key"])
def test_a_key_without_the_scope_is_told_so(sender: Sender, client: Client, form: str) -> None:
    _, reader = ApiKey.issue(project=sender.project, name="reader", scopes=["read"])
    response = client.post("/v1/traces", b"{}", JSON, headers=FORMS[form](reader))
    assert response.status_code == 403
    assert "ingest" in response.json()["message"]
