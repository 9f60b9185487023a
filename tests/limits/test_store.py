"""The database is full, read-only, emptied, deleted or exchanged under load; what callers make up does not fill
it; lists do not take the memory; a clock that was wrong leaves nothing behind."""

import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import threading
import time

import httpx
import pytest

from conftest import MASTER, deployment, forget_peak, peak_memory
from upstream import Reply

PATIENCE = 60
COST = 0.25


def config(provider, *more):
    """One deployment; a call of it costs a quarter dollar, exactly."""
    prices = {"input_cost_per_token": 0, "output_cost_per_token": COST / 4}
    return {"model_list": [deployment("g", provider.url, **prices), *more]}


def answered(provider):
    reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o",
             "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
             "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
    provider.answer = lambda seen: Reply(body=reply)


def call(gateway, key, model="g", **more):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=60,
                      headers={"authorization": f"Bearer {key}"}).status_code


def admin(gateway, path, **body):
    """The status of a change."""
    return gateway.admin.client.post(path, json=body).status_code


def readiness(gateway):
    answer = httpx.get(f"{gateway.url}/health/readiness", timeout=30)
    return answer.status_code, answer.json()


def wait(what, until):
    """Asks until the answer is good, and gives it."""
    end = time.monotonic() + PATIENCE
    while not until(answer := what()):
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    return answer


def unready(gateway, *reasons):
    """Waits until the gateway says that it is not ready, for one of these reasons."""
    status, report = wait(lambda: readiness(gateway), lambda answer: answer[1].get("reason") in reasons)
    assert status == 503 and report["status"] == "unhealthy"
    database = gateway.admin.get("/health")["database"]
    assert database["state"] in reasons and database["since"].startswith("20")
    metrics = httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {MASTER}"}).text
    assert "\ntagrail_database_unwritable 1\n" in metrics
    return report


def ready(gateway):
    report = wait(lambda: readiness(gateway), lambda answer: answer[0] == 200)[1]
    assert report["db"] == "connected"


def settled(gateway, key, calls):
    """Every call has one row, and the key has spent what they cost."""
    rows = wait(lambda: gateway.admin.get("/spend/logs", api_key=key), lambda rows: len(rows) >= calls)
    assert len(rows) == calls and len({row["request_id"] for row in rows}) == calls
    assert gateway.admin.get("/key/info", key=key)["info"]["spend"] == calls * COST


@contextlib.contextmanager
def small_disk(path):
    """A file system of its own at `path`; gives how to fill it, and how to make room again."""
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=False).returncode:
        yield None, None
        return
    ballast = path / "ballast"

    def fill():
        with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)

    try:
        yield fill, ballast.unlink
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def limited(gateway):
    """Limits the size of the gateway's files, which then fail like those on a full disk; no privilege is
    needed. What is shorter can be written still: the journal begins another file."""
    def limit(size):
        subprocess.run(["prlimit", f"--pid={gateway.process.pid}", f"--fsize={size}:unlimited"], check=True)
    return lambda: limit(65536), lambda: limit("unlimited")


@pytest.mark.parametrize("disk", ["full", "limited"])
def test_a_full_disk_is_said_and_recovers(start, provider, tmp_path, disk):
    answered(provider)
    folder = tmp_path / "disk"
    with small_disk(folder) if disk == "full" else contextlib.nullcontext((None, None)) as (fill, room):
        gateway = start(config(provider), folder=folder)
        if fill is None:
            fill, room = limited(gateway)
        key, other = gateway.admin.key(), gateway.admin.key()
        assert call(gateway, key) == call(gateway, other) == 200
        ready(gateway)
        fill()
        unready(gateway, "database_full", "database_failing")
        for _ in range(20):
            assert call(gateway, key) == 200
        assert admin(gateway, "/key/block", key=other) == 503
        assert call(gateway, other) == 200, "a refused block took effect"
        room()
        ready(gateway)
        assert admin(gateway, "/key/block", key=other) == 200
        assert call(gateway, other) in (401, 403)
        assert call(gateway, key) == 200
        settled(gateway, key, 22)
        gateway.stop()


def put_back(path, backup):
    """In place, as `cp` does."""
    path.write_bytes(backup.read_bytes())


def emptied(path):
    os.truncate(path, 0)


def deleted(path):
    for end in ("", "-wal", "-shm"):
        pathlib.Path(f"{path}{end}").unlink(missing_ok=True)


def exchanged(path):
    """By the file of another store."""
    os.replace(path.parent / "other" / "tagrail.db", path)


@pytest.mark.parametrize("harm", [emptied, deleted, exchanged])
def test_a_lost_file_is_not_taken_for_a_new_one(start, provider, tmp_path, harm):
    answered(provider)
    folder = tmp_path / "data"
    if harm is exchanged:
        start(config(provider), folder=folder / "other").stop()
    gateway = start(config(provider), folder=folder)
    path = folder / "tagrail.db"
    key = gateway.admin.key()
    assert call(gateway, key) == 200
    settled(gateway, key, 1)
    backup = tmp_path / "backup.db"
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    harm(path)
    report = unready(gateway, "database_replaced")
    assert report["db"] == "Not connected"
    for _ in range(5):
        assert call(gateway, key) == 200
    assert call(gateway, "sk-unknown") == 503
    assert admin(gateway, "/key/block", key=key) == 503
    assert admin(gateway, "/key/generate") == 503
    assert "put the file back" in gateway.output()
    put_back(path, backup)
    ready(gateway)
    assert call(gateway, key) == 200
    settled(gateway, key, 7)
    assert admin(gateway, "/key/block", key=key) == 200
    assert call(gateway, key) in (401, 403)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_deleted_log_loses_nothing(start, provider):
    answered(provider)
    gateway = start(config(provider))
    key = gateway.admin.key()
    assert call(gateway, key) == 200
    for end in ("-wal", "-shm"):
        (gateway.folder / f"tagrail.db{end}").unlink()
    for _ in range(5):
        assert call(gateway, key) == 200
    other = gateway.admin.key()
    ready(gateway)
    settled(gateway, key, 6)
    gateway.process.kill()
    gateway.process.wait()
    again = start(config(provider), folder=gateway.folder)
    assert call(again, other) == call(again, key) == 200
    settled(again, key, 7)


def run_sql(address, sql):
    command = ["psql", "-qAt", address, "-c", sql]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_read_only_database_is_not_ready(start, provider, postgres):
    answered(provider)
    gateway = start(config(provider), env={"DATABASE_URL": postgres})
    key = gateway.admin.key()
    assert call(gateway, key) == 200
    name = run_sql(postgres, "SELECT current_database()")
    server = postgres.replace(name, "postgres")
    ends = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    run_sql(server, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    run_sql(server, ends)
    unready(gateway, "database_read_only")
    for _ in range(5):
        assert call(gateway, key) == 200
    assert admin(gateway, "/key/block", key=key) == 503
    assert gateway.admin.client.get("/key/info", params={"key": key}).status_code == 200
    run_sql(server, f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    run_sql(server, ends)
    ready(gateway)
    settled(gateway, key, 6)
    assert admin(gateway, "/key/block", key=key) == 200


def test_dropped_tables_are_not_made_again(start, provider, postgres):
    answered(provider)
    gateway = start(config(provider), env={"DATABASE_URL": postgres})
    key = gateway.admin.key()
    assert call(gateway, key) == 200
    settled(gateway, key, 1)
    run_sql(postgres, "ALTER SCHEMA public RENAME TO kept; CREATE SCHEMA public")
    unready(gateway, "database_replaced")
    assert call(gateway, key) == 200
    assert admin(gateway, "/key/generate") == 503
    # Another gateway makes an empty store there: nothing is taken from it, and nothing written to it.
    other = start(config(provider), env={"DATABASE_URL": postgres})
    assert call(gateway, key) == 200
    assert call(gateway, "sk-unknown") == 503
    unready(gateway, "database_replaced")
    other.stop()
    assert run_sql(postgres, "SELECT count(*) FROM tagrail_spend") == "0"
    run_sql(postgres, "DROP SCHEMA public CASCADE; ALTER SCHEMA kept RENAME TO public")
    ready(gateway)
    settled(gateway, key, 3)


class Tables:
    """What is in the store, in rows and bytes."""

    def __init__(self, gateway, address):
        self.path, self.address = gateway.folder / "tagrail.db", address

    def rows(self, table):
        sql = f"SELECT count(*) FROM {table}"
        if self.address:
            return int(run_sql(self.address, sql))
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            return database.execute(sql).fetchone()[0]

    def bytes(self):
        if self.address:
            return int(run_sql(self.address, "SELECT pg_database_size(current_database())"))
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            (pages,), (size,) = (database.execute(f"PRAGMA {of}").fetchone() for of in ("page_count", "page_size"))
            return pages * size


@pytest.fixture(params=["sqlite", "postgres"])
def address(request):
    """Of the database, or nothing for a file."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


def stored(start, provider, address):
    """A gateway on this database, with a wildcard."""
    wildcard = deployment("openai/*", provider.url, name="wild", model="openai/*")
    gateway = start(config(provider, wildcard), env={"DATABASE_URL": address} if address else {})
    return gateway, Tables(gateway, address)


def requests_of(gateway, key):
    day = time.strftime("%Y-%m-%d", time.gmtime())
    report = gateway.admin.get("/global/spend/report", group_by="key", api_key=key, format="totals",
                               start_date=day, end_date=day)
    return report["keys"][0]["requests"] if report["keys"] else 0


def test_refused_calls_cost_a_count(start, provider, address):
    answered(provider)
    gateway, tables = stored(start, provider, address)
    key = gateway.admin.key(rpm_limit=1)
    assert call(gateway, key) == 200
    requests_of(gateway, key)
    before = tables.bytes()
    began = time.time()
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
        for number in range(2000):
            tags = [f"{number}-{tag}-{'x' * 100}" for tag in range(64)]
            body = {"model": f"openai/made-up-{number}", "messages": [{"role": "user", "content": "hi"}],
                    "metadata": {"tags": tags}}
            status = client.post("/v1/chat/completions", json=body).status_code
            assert status in (200, 401, 429), status
    minutes = int(time.time() // 60) - int(began // 60) + 1
    assert wait(lambda: requests_of(gateway, key), lambda count: count >= 2001) == 2001
    # Each minute lets one call through, and twenty of the refused be seen.
    assert tables.rows("tagrail_spend") <= 1 + 21 * minutes
    assert tables.rows("tagrail_daily") <= 1500
    assert tables.bytes() - before < 2 << 20


def test_made_up_names_are_summed_as_one(start, provider, address):
    answered(provider)
    gateway, tables = stored(start, provider, address)
    key = gateway.admin.key()
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
        for number in range(400):
            body = {"model": f"openai/made-up-{number}", "messages": [{"role": "user", "content": "hi"}],
                    "metadata": {"tags": [f"{number}-{tag}-{'y' * 1000}" for tag in range(64)]}}
            assert client.post("/v1/chat/completions", json=body).status_code == 200
        assert client.post("/v1/chat/completions", json={**body, "model": "g"}).status_code == 200
    assert wait(lambda: requests_of(gateway, key), lambda count: count >= 401) == 401
    assert tables.rows("tagrail_spend") == 401
    # A thousand pairs of tag and model; a hundred models of key, team, user, and by themselves; the rest.
    assert tables.rows("tagrail_daily") <= 1000 + 5 * 103
    assert tables.bytes() < 30 << 20
    day = time.strftime("%Y-%m-%d", time.gmtime())
    report = gateway.admin.get("/global/spend/report", group_by="model", format="totals", start_date=day, end_date=day)
    requests = {model["model_id"]: model["requests"] for model in report["models"]}
    assert requests["(other)"] == 300 and requests["g"] == 1
    # Rows keep their names.
    rows = gateway.admin.get("/spend/logs", limit=1000)
    assert {row["model_group"] for row in rows} >= {f"openai/made-up-{number}" for number in range(400)}
    assert all(len(json.dumps(row["request_tags"])) <= 9 << 10 for row in rows)


def fill_with_rows(path, count):
    body = {"call_type": "acompletion", "tags": ["t"] * 20, "model": "openai/gpt-4o", "model_group": "g",
            "deployment": "g", "provider": "openai", "api_base": "http://127.0.0.1/v1", "input_tokens": 1,
            "output_tokens": 1, "cost": 0.0, "status": 200, "decision": "x" * 500}
    text, now = json.dumps(body), int(time.time() * 1000)
    rows = ((f"{number:032x}", "call", "someone", now - 1000 * 86_400 - number, now, text) for number in range(count))
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executemany("INSERT INTO tagrail_spend (id, call_id, key_hash, started, ended, body)"
                             " VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.commit()


def test_lists_take_bounded_memory_and_no_core(start, provider):
    answered(provider)
    gateway = start(config(provider))
    gateway.admin.key()
    fill_with_rows(gateway.folder / "tagrail.db", 30_000)
    keys = [gateway.admin.key() for _ in range(20)]
    held = peak_memory(gateway)
    forget_peak(gateway)
    done = threading.Event()
    failures = []

    def report(query):
        with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {MASTER}"}, timeout=60) as client:
            while not done.is_set():
                answer = client.get("/spend/logs", params=query)
                if answer.status_code != 200:
                    failures.append(answer.text)

    threads = [threading.Thread(target=report, args=[query]) for query in
               ({"limit": 100000}, {"limit": 100000, "page": 15}, {"summarize": "true"}, {"summarize": "true"})]
    for thread in threads:
        thread.start()
    # The first call of each has to be looked up in the store that is asked for the reports.
    statuses = [call(gateway, key) for key in keys]
    done.set()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20 and not failures
    assert peak_memory(gateway) - held < 128 << 20
    pages = [gateway.admin.get("/spend/logs", limit=100000, page=page) for page in (1, 2, 31, 32)]
    assert [len(page) for page in pages] == [1000, 1000, 20, 0]
    assert not {row["request_id"] for row in pages[0]} & {row["request_id"] for row in pages[1]}
    days = gateway.admin.get("/spend/logs", summarize="true")
    assert sum(day["spend"] for day in days) == 20 * COST


def test_a_reset_beyond_its_duration_is_computed_again(start, provider):
    gateway = start(config(provider))
    key = gateway.admin.key(max_budget=1, budget_duration="1d")
    slow = gateway.admin.key(max_budget=1, budget_duration="1mo")
    due = gateway.admin.get("/key/info", key=key)["info"]["budget_reset_at"]
    due_slow = gateway.admin.get("/key/info", key=slow)["info"]["budget_reset_at"]
    gateway.stop()
    # As a clock that was 400 days ahead has left it.
    path = gateway.folder / "tagrail.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE tagrail_keys SET reset_at = reset_at + 400 * 86400000")
        database.commit()
    again = start(config(provider), folder=gateway.folder)

    def reset_at(key):
        return again.admin.get("/key/info", key=key)["info"]["budget_reset_at"]

    # Midnight may pass meanwhile.
    latest = max(due, time.strftime("%Y-%m-%dT23:59", time.gmtime(time.time() + 86400)))
    wait(lambda: reset_at(key), lambda at: at <= latest)
    wait(lambda: reset_at(slow), lambda at: at <= max(due_slow, time.strftime("%Y-%m", time.gmtime(time.time() + 32 * 86400)) + "-02"))
