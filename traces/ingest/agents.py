"""The agents that spans name (docs/adr/0023).

Some frameworks make a new id in each run. So a new id counts as the agent of its name, if there is one. The first id of
an agent that another conversation brings again becomes the agent's identity, and each further one gets its own agent.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from catalyst import database
from catalyst.agents.models import Agent, AgentIdentity
from traces.conventions.span_mapping import Identity, NormalizedSpan
from traces.ingest import cardinality
from traces.summary import OTHER

type AgentKey = tuple[str, str]
"""What two identities of the same agent have in common: the name that was sent, else the id."""

_NEW_AGENT_LOCK = 0x61676E74
_OTHER = Identity(OTHER, Agent.Source.AGENT_NAME, OTHER)

_KNOWN = """
    SELECT i.identity, a.id, a.identity, a.name, i.has_recurred, i.first_trace_id, i.first_session
    FROM agents_agentidentity i JOIN agents_agent a ON a.id = i.agent_id
    WHERE i.project_id = %s AND i.identity = ANY(%s)
"""
_WITHOUT_ROW = """
    SELECT identity, id, identity, name, true, NULL::uuid, '' FROM agents_agent
    WHERE project_id = %s AND identity = ANY(%s)
"""
_INSERT_AGENTS = """
    INSERT INTO agents_agent AS a (project_id, identity, source, name, first_seen_at)
    SELECT %s, d.identity, d.source, d.name, %s
    FROM unnest(%s::text[], %s::text[], %s::text[]) AS d(identity, source, name) ORDER BY d.identity
    ON CONFLICT (project_id, identity) DO UPDATE SET name = EXCLUDED.name
    RETURNING identity, id
"""
_INSERT_IDENTITIES = """
    INSERT INTO agents_agentidentity
        (project_id, identity, agent_id, first_seen_at, first_trace_id, first_session, has_recurred, moved_through)
    SELECT %s, d.identity, d.agent_id, %s, d.trace_id, d.session, d.has_recurred, 0
    FROM unnest(%s::text[], %s::bigint[], %s::uuid[], %s::text[], %s::bool[])
        AS d(identity, agent_id, trace_id, session, has_recurred) ORDER BY d.identity
    ON CONFLICT (project_id, identity) DO NOTHING
"""
_RENAME = """
    UPDATE agents_agent a SET name = d.name
    FROM (SELECT l.id, d.name FROM unnest(%s::bigint[], %s::text[]) AS d(id, name) JOIN agents_agent l ON l.id = d.id
          WHERE l.id = ANY(%s) ORDER BY l.id FOR NO KEY UPDATE OF l) d
    WHERE a.id = d.id AND a.id = ANY(%s)
"""


@dataclass(slots=True, frozen=True)
class KnownIdentity:
    """An identity, and the agent that it counts as."""

    identity: str
    agent_id: int
    agent_identity: str
    agent_name: str
    has_recurred: bool
    first_trace_id: UUID | None
    first_session: str

    @property
    def may_recur(self) -> bool:
        return not self.has_recurred and self.first_trace_id is not None


class Conversations:
    """Which traces of a batch, in which sessions, have spans with an identity."""

    def __init__(self, readings: Iterable[NormalizedSpan]) -> None:
        self._traces: dict[str, dict[UUID, None]] = defaultdict(dict)
        self._sessions: dict[UUID, str] = {}
        for reading in readings:
            span = reading.span
            if reading.agent is not None:
                self._traces[reading.agent.identity][span.trace_id] = None
            if span.session_key:
                self._sessions.setdefault(span.trace_id, span.session_key)

    def first(self, identity: str) -> tuple[UUID, str]:
        trace_id = next(iter(self._traces[identity]))
        return trace_id, self._sessions.get(trace_id, "")

    def recurs(self, known: KnownIdentity) -> bool:
        """Whether a conversation other than its first one has the identity."""
        others = [trace_id for trace_id in self._traces[known.identity] if trace_id != known.first_trace_id]
        return any(not known.first_session or self._sessions.get(other) != known.first_session for other in others)


def agent_ids(
    project_id: int, readings: Sequence[NormalizedSpan], now: datetime, *, limited: bool = True
) -> Mapping[str, int]:
    """Get or create the agents of spans; returns primary keys by identity. The newest name wins.

    `limited`: identities beyond the new agents that an hour may bring are missing from the result.
    """
    # In the order in which they arrived: the first ones get the room that is left.
    identities = list(dict.fromkeys(reading.agent for reading in readings if reading.agent is not None))
    if not identities:
        return {}
    known = _known(project_id, [each.identity for each in identities])
    if any(each.identity not in known for each in identities) or any(each.may_recur for each in known.values()):
        known |= _Arrival(project_id, Conversations(readings), now, limited).resolve(identities, known)
    _rename(identities, known)
    return {identity: each.agent_id for identity, each in known.items()}


def other_agent(project_id: int, now: datetime) -> int:
    """Get or create the agent of spans whose own agent was one too many; returns its primary key."""
    return keep_agents(project_id, [_OTHER], now)[OTHER]


def keep_agents(project_id: int, identities: Collection[Identity], now: datetime) -> dict[str, int]:
    """Get or create agents by their identity alone; returns primary keys by identity."""
    if not identities:
        return {}
    columns = [[getattr(each, name) for each in identities] for name in ("identity", "source", "name")]
    return dict(database.fetch(_INSERT_AGENTS, [project_id, now, *columns]))


def _known(project_id: int, identities: Collection[str]) -> dict[str, KnownIdentity]:
    wanted = list(dict.fromkeys(identities))
    found = {row[0]: KnownIdentity(*row) for row in database.fetch(_KNOWN, [project_id, wanted])}
    missing = [identity for identity in wanted if identity not in found]
    if missing:
        rows = database.fetch(_WITHOUT_ROW, [project_id, missing])
        found |= {row[0]: KnownIdentity(*row) for row in rows}
    return found


def _rename(identities: Iterable[Identity], known: Mapping[str, KnownIdentity]) -> None:
    names: dict[int, str] = {}
    for each in sorted(identities, key=lambda each: each.name):
        # An id without a name says nothing.
        agent = known.get(each.identity) if each.name != each.identity else None
        # Only the agent's own identity says what it is called.
        if agent is not None and agent.agent_identity == each.identity and agent.agent_name != each.name:
            names[agent.agent_id] = each.name
    if names:
        changed = sorted(names)
        database.execute(_RENAME, [changed, [names[pk] for pk in changed], changed, changed])


@dataclass(slots=True, frozen=True)
class _Arrival:
    """Spans of a project that name agents which are new, or known from one conversation."""

    project_id: int
    conversations: Conversations
    now: datetime
    limited: bool

    def resolve(self, identities: Sequence[Identity], known: Mapping[str, KnownIdentity]) -> dict[str, KnownIdentity]:
        """The identities that are new, and those whose agent changes with this arrival."""
        new = [each for each in identities if each.identity not in known]
        added = self._add(new) if new else {}
        names = {each.identity: each.name for each in identities}
        return added | self._split([*known.values(), *added.values()], names)

    def _add(self, new: Iterable[Identity]) -> dict[str, KnownIdentity]:
        """Let new identities join the agent of their name, or make one."""
        distinct = _once_each(new)
        agents = self._agents_of(distinct)
        makers = self._makers([each for each in distinct if _agent_key(each) not in agents])
        made = keep_agents(self.project_id, makers, self.now)
        agents |= {_agent_key(each): made[each.identity] for each in makers}
        joining = [each for each in distinct if each.identity not in made and _agent_key(each) in agents]
        rows = [self._new(each, agents, makes=True) for each in makers]
        # Those that an hour has no room for count for their name, too, but leave no row.
        joined = [self._new(each, agents, makes=False) for each in joining]
        rows += joined[: self._room_to_join(joined)]
        _insert_identities(self.project_id, rows, self.now)
        return {each.identity: each for each in joined} | _known(self.project_id, [row.identity for row in rows])

    def _room_to_join(self, joined: Sequence[KnownIdentity]) -> int:
        if self.limited and joined:
            return cardinality.room_for_identities(self.project_id, self.now)
        return len(joined)

    def _agents_of(self, identities: Sequence[Identity]) -> dict[AgentKey, int]:
        agents = _namesakes(self.project_id, identities)
        if all(_agent_key(each) in agents for each in identities):
            return agents
        # Otherwise another writer could make an agent with the same name.
        database.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_NEW_AGENT_LOCK, self.project_id & 0x7FFFFFFF])
        return _namesakes(self.project_id, identities)

    def _makers(self, nameless: Sequence[Identity]) -> Sequence[Identity]:
        """The first identity of each agent that is missing, if the project may add one."""
        first = {_agent_key(each): each for each in reversed(nameless)}
        makers = [each for each in nameless if first[_agent_key(each)] is each]
        return cardinality.new_agents(self.project_id, makers, self.now) if self.limited else makers

    def _new(self, each: Identity, agents: Mapping[AgentKey, int], *, makes: bool) -> KnownIdentity:
        agent_id = agents[_agent_key(each)]
        if each.source == Agent.Source.AGENT_NAME:
            # A name does not change with the run.
            return KnownIdentity(each.identity, agent_id, "", "", makes, None, "")
        trace_id, session = self.conversations.first(each.identity)
        return KnownIdentity(
            each.identity, agent_id, "", "", has_recurred=False, first_trace_id=trace_id, first_session=session
        )

    def _split(self, known: Iterable[KnownIdentity], names: Mapping[str, str]) -> dict[str, KnownIdentity]:
        """Give identities that another conversation brings again agents of their own, where theirs has one already."""
        recurring = [each.identity for each in known if each.may_recur and self.conversations.recurs(each)]
        if not recurring:
            return {}
        rows = AgentIdentity.objects.filter(project=self.project_id, identity__in=recurring, has_recurred=False)
        # Another writer decides with what this one commits.
        list(Agent.objects.filter(pk__in=rows.values("agent")).order_by("pk").select_for_update(no_key=True))
        room = cardinality.room_for_agents(self.project_id, self.now) if self.limited else len(recurring)
        for pk in list(rows.order_by("pk").values_list("pk", flat=True)):
            row = rows.select_related("agent").get(pk=pk)
            if row.identity == row.agent.identity or not row.agent.is_settled:
                row.recur()
            elif room > 0:
                room -= 1
                row.split(names[row.identity], self.now)
        return _known(self.project_id, recurring)


def _once_each(identities: Iterable[Identity]) -> list[Identity]:
    """In the same order. Of two names of an identity it takes the greater one."""
    named: dict[str, Identity] = {}
    for each in identities:
        other = named.get(each.identity)
        named[each.identity] = each if other is None or each.name > other.name else other
    return list(named.values())


def _agent_key(each: Identity) -> AgentKey:
    is_named = each.name != each.identity or each.source == Agent.Source.AGENT_NAME
    return ("name", each.name) if is_named else ("id", each.identity)


def _namesakes(project_id: int, identities: Iterable[Identity]) -> dict[AgentKey, int]:
    """The first agent of each name."""
    names = [name for kind, name in map(_agent_key, identities) if kind == "name"]
    agents = Agent.objects.filter(project=project_id, name__in=names).exclude(identity=OTHER)
    first = agents.order_by("name", "id").distinct("name").values_list("name", "id")
    return {("name", name): pk for name, pk in first}


def _insert_identities(project_id: int, rows: Sequence[KnownIdentity], now: datetime) -> None:
    names = ("identity", "agent_id", "first_trace_id", "first_session", "has_recurred")
    database.execute(_INSERT_IDENTITIES, [project_id, now, *([getattr(row, name) for row in rows] for name in names)])
