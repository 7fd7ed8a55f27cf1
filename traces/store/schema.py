"""SQL of the partitioned tables, for migrations: Django can't declare partitions."""

SPAN = """
CREATE TABLE traces_span (
    project_id bigint NOT NULL,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    start_time timestamptz NOT NULL,
    parent_id bigint,
    duration_us bigint,
    received_at timestamptz NOT NULL,
    digest bigint NOT NULL,
    agent_id bigint,
    input_tokens bigint,
    output_tokens bigint,
    cached_tokens bigint,
    cache_write_tokens bigint,
    reasoning_tokens bigint,
    revision integer NOT NULL,
    input_size integer NOT NULL,
    output_size integer NOT NULL,
    otel_kind smallint NOT NULL,
    skewed boolean NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    status_message text NOT NULL,
    service text NOT NULL,
    environment text NOT NULL,
    session_key text NOT NULL,
    "user" text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    outcome text NOT NULL,
    cost numeric(20, 9),
    attribute_tokens bigint[] NOT NULL,
    PRIMARY KEY (project_id, trace_id, span_id, start_time)
) PARTITION BY RANGE (start_time);
-- Exact attribute search; per-element statistics let the planner choose between this and walking time.
CREATE INDEX traces_span_attributes ON traces_span USING gin (attribute_tokens);
CREATE TABLE traces_span_default PARTITION OF traces_span DEFAULT;
"""

PAYLOAD = """
CREATE TABLE traces_payload (
    project_id bigint NOT NULL,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    start_time timestamptz NOT NULL,
    resource_digest bigint NOT NULL,
    input text,
    output text,
    input_messages jsonb,
    output_messages jsonb,
    attributes jsonb NOT NULL,
    events jsonb,
    links jsonb,
    PRIMARY KEY (project_id, trace_id, span_id, start_time)
) PARTITION BY RANGE (start_time);
CREATE TABLE traces_payload_default PARTITION OF traces_payload DEFAULT;
"""

# Rows that ingest upserts again and again: room in each page lets PostgreSQL update in place.
HOT_ROWS = """
ALTER TABLE traces_trace SET (fillfactor = 80);
ALTER TABLE traces_session SET (fillfactor = 80);
ALTER TABLE traces_agenthour SET (fillfactor = 50);
ALTER TABLE traces_agenthourlatency SET (fillfactor = 50);
ALTER TABLE traces_unsettled SET (fillfactor = 50);
"""

# Most traces are written once, and no row of the settle queue changes in place: the time it is due is indexed.
FULL_PAGES = """
ALTER TABLE traces_trace SET (fillfactor = 100);
ALTER TABLE traces_unsettled SET (fillfactor = 100);
ALTER TABLE traces_agenthourcalls SET (fillfactor = 75);
"""

# Settling adds to the rows of the present minute again and again.
MINUTES = "ALTER TABLE traces_agentminute SET (fillfactor = 50);"

CALLS = """
ALTER TABLE traces_span ADD COLUMN input_cost numeric(20, 9), ADD COLUMN cache_cost numeric(20, 9),
    ADD COLUMN output_cost numeric(20, 9), ADD COLUMN tool text NOT NULL DEFAULT '';
ALTER TABLE traces_agenthourcalls SET (fillfactor = 50);
"""

DROP_CALLS = """
ALTER TABLE traces_span DROP COLUMN input_cost, DROP COLUMN cache_cost, DROP COLUMN output_cost, DROP COLUMN tool;
"""
DROP = "DROP TABLE traces_span; DROP TABLE traces_payload;"

# Compressed already: PostgreSQL would try it again.
BODY = """
ALTER TABLE traces_payload ADD COLUMN body bytea;
ALTER TABLE traces_payload ALTER COLUMN body SET STORAGE EXTERNAL;
"""
TEXTS = ("input", "output", "input_messages", "output_messages", "attributes", "events", "links")
DROP_TEXTS = f"""
ALTER TABLE traces_payload ALTER COLUMN body SET NOT NULL, {", ".join(f"DROP COLUMN {name}" for name in TEXTS)};
"""

SPAN_IDS = """
ALTER TABLE traces_payload ADD COLUMN span_ids bigint[], ALTER COLUMN resource_digest DROP NOT NULL;
"""
ONLY_SPAN_IDS = """
ALTER TABLE traces_payload ALTER COLUMN span_ids SET NOT NULL, DROP COLUMN resource_digest;
"""

OTHER = "ALTER TABLE traces_span ADD COLUMN counts_as_other boolean NOT NULL DEFAULT false"
VERSION = "ALTER TABLE traces_span ADD COLUMN service_version text NOT NULL DEFAULT ''"
DROP_VERSION = "ALTER TABLE traces_span DROP COLUMN service_version"
DROP_OTHER = "ALTER TABLE traces_span DROP COLUMN counts_as_other"
