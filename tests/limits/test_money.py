"""Money is counted exactly, and a budget is spent once, whichever gateway a call comes to."""

import csv
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import pytest

from conftest import deployment

PATIENCE = 30


def call(gateway, key, model="m", **body):
    """A chat; the upstream answers with 7 tokens of prompt and 5 of answer."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, **body}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=60,
                      headers={"authorization": f"Bearer {key}"})


def tenth(url):
    """Models of which a call costs 0.1 dollars, and nothing."""
    return {"model_list": [
        deployment("m", url, input_cost_per_token=0.0, output_cost_per_token=0.02),
        deployment("free", url, input_cost_per_token=0.0, output_cost_per_token=0.0),
    ]}


def exact(answer):
    """JSON whose numbers keep their digits."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=Decimal)


def until_refused(gateway, key):
    """Asks without spending, until the gateway knows that the budget is spent."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = call(gateway, key, "free")
        if answer.status_code == 429:
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)


def database(kind, postgres, tmp_path):
    return {"DATABASE_URL": postgres if kind == "postgres" else f"sqlite:{tmp_path / 'shared.db'}"}


def test_a_budget_of_one_takes_ten_calls_of_a_tenth(provider, start):
    gateway = start(tenth(provider.url))
    key = gateway.admin.key(max_budget=1.0)
    answers = [call(gateway, key) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2, answers[-1].text
    assert answers[2].headers["x-litellm-key-spend"] == "0.3"
    assert answers[0].headers["x-litellm-response-cost"] == "0.1"
    error = answers[-1].json()["error"]
    assert error["type"] == "budget_exceeded"
    assert "Current cost: 1.0, Max budget: 1.0" in error["message"]


def test_many_at_once_fit_a_budget_exactly(provider, start):
    gateway = start(tenth(provider.url))
    key = gateway.admin.key(max_budget=1.0)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: call(gateway, key), range(40)))
    served = sum(answer.status_code == 200 for answer in answers)
    for answer in answers:
        if answer.status_code == 429 and "under way" in answer.text:
            assert answer.headers["retry-after"] == "1"
    while call(gateway, key).status_code == 200:
        served += 1
    assert served == 10


def test_sums_are_exactly_those_of_the_rows(provider, start):
    config = {"model_list": [
        deployment("odd", provider.url, input_cost_per_token=1.23e-7, output_cost_per_token=4.56e-7),
        deployment("even", provider.url, input_cost_per_token=0.1, output_cost_per_token=0.7),
    ]}
    gateway = start(config)
    team = gateway.admin.post("/team/new", team_alias="t")["team_id"]
    key = gateway.admin.key(team_id=team)
    for number in range(30):
        model, tags = ("odd", ["a"]) if number % 3 else ("even", ["a", "b"])
        assert call(gateway, key, model, metadata={"tags": tags}).status_code == 200
    get = gateway.admin.client.get
    rows = exact(get("/spend/logs", params={"limit": 1000}))
    rows = [row for row in rows if row["team_id"] == team]
    each = {"odd": Decimal("0.000003141"), "even": Decimal("4.2")}
    assert sorted(row["spend"] for row in rows) == sorted([each["odd"]] * 20 + [each["even"]] * 10)
    total = sum(row["spend"] for row in rows)
    assert total == 20 * each["odd"] + 10 * each["even"]
    assert exact(get("/key/info", params={"key": key}))["info"]["spend"] == total
    assert exact(get("/team/info", params={"team_id": team}))["team_info"]["spend"] == total
    tags = {sum_["individual_request_tag"]: sum_["total_spend"] for sum_ in exact(get("/spend/tags"))}
    assert (tags["a"], tags["b"]) == (total, 10 * each["even"])
    assert exact(get("/global/spend"))["spend"] == total
    period = {"group_by": "team", "start_date": "2020-01-01", "end_date": "2999-12-31"}
    days = exact(get("/global/spend/report", params=period))
    assert sum(day["total_spend"] for day in days) == total
    sheet = get("/global/spend/report", params={**period, "format": "csv"}).text
    assert sum(Decimal(line["spend"]) for line in csv.DictReader(io.StringIO(sheet))) == total


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_gateways_spend_one_budget(kind, request, provider, start, tmp_path):
    postgres = request.getfixturevalue("postgres") if kind == "postgres" else None
    env = database(kind, postgres, tmp_path)
    one, other = (start(tenth(provider.url), env=env) for _ in range(2))
    key = one.admin.key(max_budget=1.0)
    # The other one knows the key, and has no rows of its own from here on.
    assert call(other, key).status_code == 200
    other.admin.get("/spend/keys")
    assert [call(one, key).status_code for _ in range(9)] == [200] * 9
    one.admin.get("/spend/keys")
    for gateway in (one, other):
        error = until_refused(gateway, key).json()["error"]
        assert error["type"] == "budget_exceeded"
        assert "Current cost: 1.0" in error["message"]
        assert call(gateway, key).status_code == 429


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_burst_at_two_gateways_stays_within_the_stated_bound(kind, request, provider, start, tmp_path):
    postgres = request.getfixturevalue("postgres") if kind == "postgres" else None
    env = database(kind, postgres, tmp_path)
    gateways = [start(tenth(provider.url), env=env) for _ in range(2)]
    key = gateways[0].admin.key(max_budget=1.0)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda number: call(gateways[number % 2], key).status_code, range(80)))
    assert set(statuses) <= {200, 429}
    # Each of the two spends a budget and one call at most, and nothing any more once it has heard of the other.
    assert 10 <= statuses.count(200) <= 2 * 11
    for gateway in gateways:
        gateway.admin.get("/spend/keys")
    for gateway in gateways:
        until_refused(gateway, key)
        assert call(gateway, key).status_code == 429


def test_a_budget_larger_than_can_be_counted_is_refused(start, provider):
    gateway = start(tenth(provider.url))
    answer = gateway.admin.client.post("/key/generate", json={"max_budget": 1e9})
    assert answer.status_code == 400
    assert "`max_budget`" in answer.text and "9223372" in answer.text
