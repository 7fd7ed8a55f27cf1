"""The environment variables that Catalyst reads."""

import os
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from catalyst.ip_ranges import AllowedTargets
from catalyst.mail import checked_mail_url

EVERYWHERE = {"*": ["0.0.0.0/0", "::/0"]}


def default_data_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "catalyst"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "catalyst"


class Env(BaseSettings):
    # The descriptions are the reference in docs/reference/settings.md.
    model_config = SettingsConfigDict(
        env_prefix="CATALYST_", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address the web process listens on.")
    port: int = Field(
        8799, ge=1, le=65535, description="Port of the web process; 8799 is where unconfigured SDKs post."
    )
    data: Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())] = Field(
        default_factory=default_data_folder,
        description="Folder of the embedded PostgreSQL, logs and up.json.",
    )
    url: str = Field("", description="Address people use, if it differs from http://HOST:PORT.")
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default_factory=list, description="Further host names the web process answers to, comma-separated."
    )
    secret_key: str = Field(
        "",
        description="Signs sessions and links, encrypts secrets. Empty: a key in the data folder, made at first start.",
    )
    old_secret_keys: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Earlier values of CATALYST_SECRET_KEY, comma-separated; they still verify and decrypt.",
    )
    hsts_seconds: int = Field(
        2_592_000, ge=0, description="How long browsers insist on https once they saw it, when CATALYST_URL is https."
    )
    debug: bool = Field(False, description="Django's debug pages. Never on a server.")
    database_url: str = Field(
        "",
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="PostgreSQL 15 or newer; empty: the embedded one.",
    )
    embedded_pg_bin: str = Field(
        "",
        validation_alias=AliasChoices("EMBEDDED_PG_BIN", "embedded_pg_bin"),
        description="Folder of PostgreSQL server binaries to use in place of the installed package's.",
    )
    span_store: str = Field(
        "traces.store.postgres.PostgresSpanStore",
        description="Class that stores spans and their text; it implements `traces.span_store.SpanStore`.",
    )
    halo_engine: Path | None = Field(
        None,
        description="Folder with the environment of halo-engine, which writes reports with a model. "
        "Empty: made in the data folder.",
    )
    request_threads: int = Field(
        64,
        ge=4,
        description="Threads of the web process: pages that it answers at once, and steps of ingest that block.",
    )
    database_pool: int = Field(8, ge=1, description="Most database connections of the web process.")
    database_prepare: bool = Field(
        True, description="Have PostgreSQL plan ingest's statements once per connection; not every pooler allows it."
    )

    metrics_token: str = Field(
        "", description="Bearer token that /metrics asks for; empty: it answers to this machine only."
    )
    demo: bool = Field(
        True,
        validation_alias=AliasChoices("CATALYST_DEMO", "DEMO", "demo"),
        description="Fill an empty database with a project Demo of made-up traffic, and keep that going.",
    )

    allowed_private_targets: Annotated[AllowedTargets, NoDecode] = Field(
        default_factory=AllowedTargets,
        description="Private networks (10.0.0.0/8) and endpoints (ollama:11434) that users may connect to, "
        "comma-separated. Link-local and cloud metadata addresses stay blocked.",
    )

    mail_url: Annotated[str, AfterValidator(checked_mail_url)] = Field(
        "",
        description="Mail server: smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host. "
        "Empty: no mail.",
    )
    mail_from: str = Field("catalyst@localhost", description="Sender of mail, such as Catalyst <catalyst@example.com>.")
    apprise: bool = Field(
        False,
        description="Let owners send messages by Apprise: to Discord, Teams, Telegram and other hosted services. "
        "Its requests are not guarded as all others are.",
    )

    max_body_mb: int = Field(
        32, ge=1, description="Largest OTLP body in MiB, as sent and decompressed; larger ones get 413."
    )
    body_memory_mb: int = Field(
        128, ge=1, description="Memory in MiB for bodies that are being received and read; further ones get 503."
    )
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: ["127.0.0.1", "::1"],
        validation_alias=AliasChoices("CATALYST_TRUSTED_PROXIES", "FORWARDED_ALLOW_IPS", "trusted_proxies"),
        description="Addresses or networks of proxies, comma-separated. X-Forwarded-For is believed from them alone. "
        "Empty: 127.0.0.1 and ::1.",
    )
    max_request_spans: int = Field(100_000, ge=1, description="Most spans in one OTLP request; more get 413.")
    max_trace_spans: int = Field(
        100_000, ge=1_000, description="Most spans of one trace; further ones are refused by partial success."
    )
    max_new_names_per_hour: int = Field(
        200,
        ge=1,
        description="New agents, models and tools, of each, that a project may bring in an hour; others are (other).",
    )
    max_span_attributes: int = Field(
        10_000, ge=1, description="Most attributes of a span, resource or event; further ones are left out."
    )
    max_value_characters: int = Field(
        4_000_000, ge=1_000, description="Longest text of an attribute; a longer one is cut and says so."
    )
    max_value_levels: int = Field(
        32,
        ge=1,
        le=64,
        description="Levels of lists and objects in an attribute; deeper ones are left out and say so.",
    )
    max_span_events: int = Field(1_000, ge=0, description="Most events of a span; further ones are left out.")
    max_span_links: int = Field(1_000, ge=0, description="Most links of a span; further ones are left out.")
    key_requests_per_second: int = Field(
        1_000,
        ge=0,
        description="Requests an API key may send per second where it has no limit of its own; 0: any number.",
    )
    key_spans_per_second: int = Field(
        50_000,
        ge=0,
        description="Spans an API key may send per second where it has no limit of its own; 0: any number.",
    )
    ingest_queue_spans: int = Field(
        20_000, ge=4_000, description="Spans that may wait for a commit that requests share; more get 503."
    )
    retention_days: int = Field(
        30, ge=1, description="Days that spans, traces and sessions are kept; older clocks count as skewed."
    )
    keep_labels_days: int = Field(400, ge=1, description="Days that labels and verdicts are kept.")
    judge_exchange_days: int = Field(
        30, ge=0, description="Days that what a judge was asked and answered is kept, never longer than spans; 0: not."
    )
    keep_rollups_days: int = Field(
        400, ge=1, description="Days that the hourly sums behind charts are kept; never fewer than spans."
    )
    settle_trace_seconds: float = Field(
        10, ge=1, description="Quiet time after its root ended until a trace is judged."
    )
    settle_rootless_seconds: float = Field(
        300, ge=1, description="Quiet time until a trace without an ended root is judged."
    )
    settle_session_seconds: float = Field(1800, ge=1, description="Quiet time until a session is judged.")

    judge_url: str = Field(
        "",
        validation_alias=AliasChoices("CATALYST_JUDGE_URL", "OPENAI_BASE_URL", "judge_url"),
        description="Base URL of an OpenAI-compatible endpoint, for example https://api.openai.com/v1.",
    )
    judge_model: str = Field(
        "",
        validation_alias=AliasChoices("CATALYST_JUDGE_MODEL", "OPENAI_MODEL", "judge_model"),
        description="Model that judges when a signal names none; empty: the offline judge.",
    )
    judge_models: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Further models of that endpoint that a signal may name, comma-separated.",
    )
    judge_api_key: str = Field(
        "",
        validation_alias=AliasChoices("CATALYST_JUDGE_API_KEY", "OPENAI_API_KEY", "judge_api_key"),
        description="Bearer key for the judge endpoint.",
    )
    judge_concurrency: int = Field(64, ge=1, le=512, description="Judge calls under way at once.")
    judge_timeout_seconds: float = Field(60, ge=1, description="Longest wait for one judge call.")
    judge_budget_tokens: int = Field(
        24_000, ge=500, description="Longest transcript shown to the judge, in tokens of about four characters."
    )

    @field_validator("allowed_hosts", "judge_models", "old_secret_keys", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _parts(value) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, networks: list[str]) -> list[str]:
        return [str(ip_network(text, strict=False)) for each in networks for text in EVERYWHERE.get(each, [each])]

    @field_validator("allowed_private_targets", mode="before")
    @classmethod
    def _parse_targets(cls, value: object) -> object:
        return AllowedTargets.parse(_parts(value)) if isinstance(value, str) else value

    def base_url(self) -> str:
        return (self.url or f"http://{self.host}:{self.port}").rstrip("/")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


env = Env()
