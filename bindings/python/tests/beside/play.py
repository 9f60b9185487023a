"""One case on both sides: whatever differs is a `Difference`, with what is needed to see it again."""

from __future__ import annotations

import dataclasses
import json
import warnings
from dataclasses import dataclass

import provider
import rows
from outcome import differences, failed, plain


@dataclass
class Difference:
    """Where the two sides disagree."""

    seed: int
    mode: str
    what: str
    path: tuple
    litellm: object
    other: object
    case: object
    mine: object = None
    others: object = None
    ask: object = None
    unknown: bool = False
    none: bool = False
    twice: bool = False

    def __str__(self):
        lines = [f"seed {self.seed} ({self.mode}), {self.what}", f"  at      {'.'.join(map(str, self.path)) or '(all)'}",
                 f"  LiteLLM {self.litellm!r}", f"  other   {self.other!r}"]
        return "\n".join(lines)


def report(found):
    """The differences of one case, the case itself, and how to see it again."""
    case, seed = found[0].case, found[0].seed
    listing = json.dumps({"model_list": case.model_list, "settings": case.settings, "troubles": case.troubles},
                         indent=1, ensure_ascii=False)
    return "\n".join([*map(str, found), listing, f"repeat with: pytest tests/beside --seeds {seed}"])


class Play:
    """Plays cases on LiteLLM's side and on another one."""

    def __init__(self, litellm, other):
        self.litellm, self.other = litellm, other
        self.used, self.compared, self.excuse = set(), 0, rows.of

    def case(self, case, modes):
        """All differences of one case."""
        self.litellm.provider.forget()
        self.litellm.provider.answer = provider.answering(case.troubles)
        # What LiteLLM does depends on nothing that is ours, so its answers serve both modes.
        left = self.built(self.litellm, case)
        picks = None
        for mode in modes:
            settings = {} if mode == "itself" else {"routing_mode": mode}
            right = self.built(self.other, case, **settings)
            yield from self.told(case, mode, "Router(...)", facts(left), facts(right))
            if isinstance(left, Exception) or isinstance(right, Exception):
                return
            if picks is None:
                picks = [self.litellm.picks(left, ask) for ask in case.asks]
            self.ids = [entry["model_info"]["id"] for entry in left.model_list]
            for number, ask in enumerate(case.asks):
                yield from self.ask(case, mode, number, ask, left, right, picks[number])

    def built(self, side, case, **settings):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return side.router(case, **settings)
        except Exception as error:
            return error

    def ask(self, case, mode, number, ask, left, right, picks):
        """One call: what it may go to, and what comes of it."""
        what = f"call {number}: {ask}"
        mine = self.other.picks(right, ask)
        touched, expected = rows.needed(case, self.ids, ask, mode)
        if touched and expected == 400 and case.settings.get("default_fallbacks"):
            return  # the model knows no fallbacks
        if touched:
            self.used |= touched
            yield from self.told(case, mode, f"{what}, by {sorted(touched)}", {"picks": expected}, rows.status(mine))
            return
        # Fallbacks are decided by the same rules: where one is touched, so is all that follows.
        asks = [dataclasses.replace(ask, model=name) for name in case.targeted(ask)]
        same = not any(rows.touched(case, self.ids, one, mode) for one in [ask, *asks])
        # Nor is there anything to be seen by which LiteLLM could be led where a failure is not asked for.
        leads = not asks or not any(rows.nameless(case, self.ids, one) for one in [ask, *asks])
        yield from self.but_for_rows(case, mode, ask, f"picks of {what}", picks, mine)
        if not same or not leads or rows.nameless(case, self.ids, ask) and case.ordered_twice():
            return
        other = self.other.play(right, ask)
        this = self.litellm.after(left, ask, other)
        self.compared += 1
        yield from self.but_for_rows(case, mode, ask, what, this, other)

    def but_for_rows(self, case, mode, ask, what, mine, others):
        """What differs and by no row."""
        for difference in self.told(case, mode, what, mine, others):
            difference.mine, difference.others, difference.ask = mine, others, ask
            difference.unknown = rows.unknown(case, self.ids, ask)
            difference.none = rows.by_none(case, self.ids, ask)
            difference.twice = rows.by_provider(case, self.ids, ask)
            row = self.excuse(difference)
            if row is None:
                yield difference
            else:
                self.used.add(row.why)

    def told(self, case, mode, what, left, right):
        for path, one, two in differences(left, right):
            yield Difference(case.seed, mode, what, path, one, two, case)


def facts(router):
    """What a Router says of itself."""
    if isinstance(router, Exception):
        told = failed(router)
        return {"error": {name: told[name] for name in ("class", "bases")}}
    names = sorted(router.get_model_names())
    return {
        "names": names,
        "ids": router.get_model_ids(),
        "of a name": {name: router.get_model_ids(name) for name in names},
        "list": listed(router.get_model_list()),
        # Of stars, see what may be picked.
        "lists": {name: listed(router.get_model_list(model_name=name)) for name in names if "*" not in "".join(names)},
        "deployment": {one: deployment(router.get_deployment(model_id=one)) for one in [*router.get_model_ids(), "nobody"]},
        "attributes": {name: plain(getattr(router, name)) for name in ("num_retries", "fallbacks", "model_group_alias")},
    }


def listed(entries):
    """A model list, without what each side keeps for itself."""
    return [{"model_name": entry["model_name"], "id": entry["model_info"]["id"],
             "params": {name: value for name, value in entry["litellm_params"].items() if value not in (None, False)}}
            for entry in entries or []]


def deployment(found):
    if found is None:
        return None
    return {"name": found.model_name, "id": found.model_info.id, "model": found.litellm_params.model,
            "tags": plain(found.litellm_params.tags)}
