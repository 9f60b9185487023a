"""An independent model of what a configuration permits, to hold the gateway against.

It follows the contract sentence by sentence, one deployment at a time and with Python's own
regular expressions: no index, no bitmaps, nothing shared with the gateway. `Model(config, rows)`
answers a request with the set of outcomes that are permitted; `rows` are the rows of the decisions
by which Tagrail departs from LiteLLM, so that the same code answers for the recordings (no row),
for `routing_mode: litellm` (`BOTH`) and for `routing_mode: tagrail` (`TAGRAIL`).

Health is left out: every deployment counts as healthy. What is chosen among several eligible
deployments is left out too, but for deployments that weights keep from ever being chosen.
"""

import json
import re
from dataclasses import dataclass, field

BOTH = frozenset({"D10", "D14", "D27", "D28", "D31", "D33"})
TAGRAIL = BOTH | frozenset({"D2", "D5", "D6", "D7", "D21", "D22", "D23", "D24"})

# Fields that a gateway reads, and that may not hide in `extra_body`.
READ = {"model", "stream", "tags", "metadata", "litellm_metadata"}
PROVIDERS = ("openai", "anthropic", "groq", "azure", "bedrock", "vertex_ai", "gemini")
# What the price table says of bare names, as far as the recordings and the generator ask.
GUESSES = {
    "gpt-4o": "openai",
    "gpt-4o-2024-08-06": "openai",
    "gpt-4o-mini": "openai",
    "text-embedding-3-small": "openai",
    "ft:gpt-3.5-turbo:org::id": "openai",
    "claude-sonnet-4-5": "anthropic",
}


@dataclass(frozen=True)
class Served:
    """Deployment `id` is asked for `upstream`."""

    id: str
    upstream: str


@dataclass(frozen=True)
class Refused:
    """An error of this status."""

    status: int


@dataclass
class Deployment:
    """One entry of `model_list`."""

    place: int
    group: str
    id: str
    model: str
    tags: tuple = ()
    regex: tuple = ()
    order: float | None = None
    shares: dict = field(default_factory=dict)
    fail_open: bool = False
    filtering: bool | None = None

    @classmethod
    def of(cls, place, entry):
        params, info = entry["litellm_params"], entry.get("model_info") or {}
        return cls(
            place=place,
            group=entry["model_name"],
            id=str(info["id"]) if "id" in info else f"#{place}",
            model=params["model"],
            tags=tuple(params.get("tags") or ()),
            regex=tuple(params.get("tag_regex") or ()),
            order=params.get("order"),
            shares={k: params[k] for k in ("weight", "rpm", "tpm") if params.get(k) is not None},
            fail_open=info.get("allow_fail_open") is True,
            filtering=info.get("enable_tag_filtering"),
        )


@dataclass
class Wanted:
    """Tags, sorted by what they ask for. `known` are plain tags that a prefix declares as meant."""

    plain: list = field(default_factory=list)
    excluded: set = field(default_factory=set)
    required: set = field(default_factory=set)
    known: set = field(default_factory=set)


class Malformed(Exception):
    """A body that is refused before anything is looked up."""


class Model:
    """What one configuration permits."""

    def __init__(self, config, rows=frozenset()):
        self.rows = frozenset(rows)
        self.deployments = [Deployment.of(n, e) for n, e in enumerate(config.get("model_list") or [])]
        settings = config.get("router_settings") or {}
        flag = settings.get("enable_tag_filtering")
        self.filtering = flag is True or ("D14" in self.rows and str(flag).lower() == "true")
        self.match_any = settings.get("tag_filtering_match_any") is not False
        self.prefix = settings.get("tag_routing_prefix") or ""
        self.aliases = {
            name: target["model"] if isinstance(target, dict) else target
            for name, target in (settings.get("model_group_alias") or {}).items()
        }
        self.by_id = {d.id: d for d in self.deployments}
        self.groups = {}
        for d in self.deployments:
            self.groups.setdefault(d.group, []).append(d)
        self.patterns = sorted(
            (name for name in self.groups if "*" in name), key=specificity, reverse=True
        )  # stable: ties keep the order of the file

    # ---- one request ---------------------------------------------------
    def outcomes(self, body, headers=(), path="/v1/chat/completions"):
        """The permitted outcomes: a set of `Served` and `Refused`."""
        try:
            name, tags = self.read(body, list(headers), path)
        except Malformed:
            return {Refused(400)}
        agent = ([v for n, v in headers if n.lower() == "user-agent"] or [None])[-1]
        return self.decide(name, tags, agent)

    def decide(self, name, tags, agent):
        """The permitted outcomes for a name, tags in any order, and a User-Agent."""
        single = self.by_id.get(name)
        if single is not None:
            if "D24" in self.rows and "*" in single.group and "*" in single.model:
                return {Refused(400)}
            if "D6" in self.rows and self.filters(single.group) and not self.tagged(
                    [single], single.group, tags, agent):
                return {Refused(401)}
            return {self.upstream(single, None, name)}
        target = self.aliases.get(name, name)
        found, group, captures = self.look_up(target)
        if not found:
            return {Refused(400)}
        if self.filters(group):
            found = self.tagged(found, group, tags, agent)
            if not found:
                return {Refused(401)}
        return {self.upstream(d, captures, target) for d in pickable(found)}

    def read(self, body, headers, path):
        """(model, tags) of a request."""
        both = "D10" in self.rows
        if not isinstance(body, dict):
            raise Malformed
        inside = re.match(r"(?:/openai/deployments|/engines)/(.+)/(?:chat/)?(?:completions|embeddings)$", path)
        name = inside.group(1) if inside else body.get("model")
        if not isinstance(name, str):
            raise Malformed
        extra = body.get("extra_body")
        if "D31" in self.rows and isinstance(extra, dict) and READ & set(extra):
            raise Malformed
        lines = [v for n, v in headers if n.lower() == "x-litellm-tags"]
        if "D27" in self.rows:
            header = [p.strip() for line in lines for p in line.split(",") if p.strip()]
        else:
            header = [p.strip() for p in lines[-1].split(",")] if lines and lines[-1] else []
            header = header if any(header) else []
        own = body.get("tags")
        if own is not None and not isinstance(own, list):
            if both:
                raise Malformed
            own = None
        fields, slots = {}, {}
        for key in ("metadata", "litellm_metadata"):
            value = body.get(key)
            if isinstance(value, str) and (both or key == "litellm_metadata"):
                try:
                    value = json.loads(value)
                except ValueError:
                    pass
            slots[key] = isinstance(value, dict)
            held = value.get("tags") if isinstance(value, dict) else None
            if both and held is not None and not isinstance(held, list):
                raise Malformed
            fields[key] = strings(held, both) if isinstance(held, list) else []
        unites = "D7" in self.rows or slots["litellm_metadata"] or (
            "metadata" in body and not path.endswith("/messages"))
        tags = fields["metadata"] + fields["litellm_metadata"]
        tags += header if own is None or unites else []
        return name, tags + (strings(own, both) if own is not None else [])

    # ---- names ---------------------------------------------------------
    def look_up(self, name):
        """(deployments, the group that sets their rules or None, captures or None) for a name."""
        if name in self.groups:
            return self.groups[name], name, None
        for candidate in (name, f"{GUESSES[name]}/{name}" if name in GUESSES else None):
            for pattern in self.patterns if candidate is not None else ():
                captures = self.captures(pattern, candidate)
                if captures is not None:
                    group = pattern if "D21" in self.rows else None
                    return self.groups[pattern], group, captures
        return [d for d in self.deployments if d.model == name], None, None

    def captures(self, pattern, name):
        """What the stars of a pattern take, or None."""
        text = "(.*)".join(re.escape(part) for part in pattern.split("*"))
        if "D2" in self.rows:
            text += r"\Z"
        found = re.match(text, name, re.DOTALL if "D28" in self.rows else 0)
        return None if found is None else found.groups()

    def upstream(self, deployment, captures, name):
        """How a deployment is asked, with the captures filled in."""
        model = deployment.model
        stars, given = model.count("*"), len(captures) if captures is not None else 0
        if captures is not None and stars:
            if stars < given and "D22" not in self.rows:
                model = name
            else:
                # Fewer stars than captures: the last ones, in their order.
                filled = captures[given - stars:] if stars < given else captures
                if "D28" in self.rows:
                    parts = model.split("*")
                    fills = [*filled, *["*"] * (stars - len(filled)), ""]
                    model = "".join(part + fill for part, fill in zip(parts, fills, strict=True))
                else:
                    for text in filled:
                        model = model.replace("*", text, 1)
        provider, slash, rest = model.partition("/")
        if not slash or provider not in PROVIDERS:
            return Refused(400)
        return Served(deployment.id, rest)

    # ---- tags ----------------------------------------------------------
    def filters(self, group):
        """Whether tags count in a group."""
        for d in self.groups.get(group, ()):
            if d.filtering is not None:
                return d.filtering
        return self.filtering

    def sort_tags(self, tags):
        """The tags by what they ask for."""
        wanted = Wanted()
        for tag in tags:
            prefixed = bool(self.prefix) and tag.startswith(self.prefix)
            tag = tag[len(self.prefix):] if prefixed else tag
            if tag[:1] in ("!", "&"):
                if len(tag) > 1:
                    (wanted.excluded if tag[0] == "!" else wanted.required).add(tag[1:])
                    if prefixed:
                        wanted.known.add(tag[1:])
            else:
                wanted.plain.append(tag)
                if prefixed:
                    wanted.known.add(tag)
        return wanted

    def tagged(self, candidates, group, tags, agent):
        """The deployments that the tags leave."""
        beside = [b for d in candidates for b in self.groups[d.group]]
        if "D5" in self.rows and not any(d.tags or d.regex for d in beside):
            return candidates
        wanted = self.sort_tags(tags)
        carried = {t for d in self.groups.get(group, ()) for t in d.tags}
        known = carried | wanted.known
        kept = self.matching(candidates, wanted, known, agent)
        # One deployment that was asked for by its id fails open with its group.
        if not kept and any(d.fail_open for d in self.groups.get(group, candidates)):
            # A required tag that nobody knows must not hide that the others could be met.
            meant = wanted.required & known
            possible = any(meant <= set(d.tags) and not wanted.excluded & set(d.tags) for d in candidates)
            if meant and meant != wanted.required and possible:
                return []
            kept = untagged(candidates)
        return kept

    def matching(self, candidates, wanted, known, agent):
        """The rule for tags, before anything fails open."""
        allowed = [d for d in candidates
                   if not wanted.excluded & set(d.tags) and wanted.required <= set(d.tags)]
        hits = [] if agent is None else [d for d in allowed if any(
            re.search(p, f"User-Agent: {agent}") for p in d.regex) and (self.match_any or not d.tags)]
        if wanted.plain:
            want = set(wanted.plain)
            match = [d for d in allowed if d in hits or (
                want & set(d.tags) if self.match_any else want <= set(d.tags))]
            if match:
                return match
            if want & known:
                return []
            return [d for d in allowed if "default" in d.tags]
        if wanted.required:
            return allowed
        if hits:
            return hits
        pool = untagged(candidates)
        if agent is not None and any(d.regex for d in allowed) and not any(
                "default" in d.tags for d in candidates):
            pool = [d for d in pool if not d.regex] if "D23" in self.rows else []
        return [d for d in pool if d in allowed]


def strings(values, strict):
    """The tags of a list."""
    if strict and any(isinstance(v, (list, dict)) for v in values):
        raise Malformed
    return [v for v in values if isinstance(v, str)]


def untagged(candidates):
    """The pool for requests without tags."""
    return [d for d in candidates if "default" in d.tags] or candidates


def specificity(pattern):
    """How particular a pattern is, as text that Python would compile."""
    text = re.escape(pattern).replace(r"\*", "(.*)")
    return len(text), sum(c in "*+?\\^$|()" for c in text)


def pickable(deployments):
    """Those that order and weights leave."""
    orders = [d.order for d in deployments if d.order is not None]
    if orders:
        deployments = [d for d in deployments if d.order == min(orders)]
    for kind in ("weight", "rpm", "tpm"):
        # Where all are 0, the next kind counts.
        if sum(d.shares.get(kind, 0) for d in deployments) > 0:
            return [d for d in deployments if d.shares.get(kind, 0) > 0]
    return deployments
