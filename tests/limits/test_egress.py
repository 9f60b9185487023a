"""Where calls may lead whose clients bring an address of their own."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from conftest import deployment
from upstream import Reply

CANARY = "sk-operators-own"
OPEN = ["api_base", "base_url", "api_key"]


def opened(provider, **params):
    return deployment("gpt-4o", provider.url, configurable_clientside_auth_params=OPEN, api_key=CANARY, **params)


def ask(gateway, key, path="/v1/chat/completions", **fields):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return httpx.post(f"{gateway.url}{path}", json=body, headers={"authorization": f"Bearer {key}"}, timeout=30)


def own_addresses():
    """This host's addresses beside loopback, as far as a look at its routes tells them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return [probe.getsockname()[0]]
        except OSError:
            return []


def test_addresses_inside_are_refused_and_the_operators_own_is_not(provider, start):
    gateway = start({"model_list": [opened(provider)], "router_settings": {"num_retries": 0}})
    key = gateway.admin.key()
    assert ask(gateway, key).status_code == 200, "the operator's own base may be anywhere"
    port = urlsplit(provider.url).port
    hosts = ["127.0.0.1", "localhost", "localhost.", "LOCALHOST", "127.1", "0x7f.1", "2130706433", "0177.0.0.1",
             "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "127.255.255.254",
             "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1",
             "169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "224.0.0.1", "255.255.255.255",
             "metadata.google.internal", "does-not-exist.invalid", socket.gethostname(), *own_addresses()]
    provider.seen.clear()
    texts = set()
    for host in hosts:
        answer = ask(gateway, key, api_base=f"http://{host}:{port}/v1", api_key="sk-mine")
        assert answer.status_code == 400, f"{host}: {answer.text}"
        error = answer.json()["error"]
        assert error["param"] == "api_base", f"{host}: {error}"
        texts.add(error["message"])
    assert len(texts) == 1, texts
    assert "provider_url_destination_allowed_hosts" in texts.pop()
    for url in [f"http://user@127.0.0.1:{port}", f"http://127.0.0.1:{port}#x", "file:///etc/passwd",
                f"http://[fe80::1%25lo]:{port}", f"http://127.0.0.1\\@example.com:{port}", f"http://ⓛocalhost:{port}",
                f"gopher://127.0.0.1:{port}", f"//127.0.0.1:{port}"]:
        assert ask(gateway, key, api_base=url, api_key="sk-mine").status_code == 400, url
    for field, more in [("base_url", {}), ("base_url", {"stream": True}), ("base_url", {"api_base": ""})]:
        answer = ask(gateway, key, **{field: f"{provider.url}/v1", **more})
        assert answer.status_code == 400 and answer.json()["error"]["param"] == field, answer.text
    fallback = {"model": "gpt-4o", "api_base": f"{provider.url}/v1", "num_retries": 0}
    ask(gateway, key, api_base="http://10.0.0.1/v1", fallbacks=[fallback])
    assert provider.seen == [], "nothing was sent anywhere"
    assert ask(gateway, key).status_code == 200, "and the deployment is none the worse"


@pytest.mark.parametrize("section", ["general_settings", "litellm_settings"])
def test_what_the_operator_lists_is_reached_without_the_operators_key(provider, start, section):
    port = urlsplit(provider.url).port
    for listed, hosts, closed in [
        (["127.0.0.0/8"], ["127.0.0.1"], ["[::1]"]),
        (["localhost"], ["localhost"], ["127.0.0.1"]),
        ([f"127.0.0.1:{port}"], ["127.0.0.1"], ["127.0.0.2"]),
        ([f"http://localhost:{port}"], ["localhost"], ["127.0.0.1"]),
        ([f"127.0.0.1:{port + 1}", "https://localhost"], [], ["127.0.0.1", "localhost"]),
    ]:
        gateway = start({"model_list": [opened(provider)], section: {"provider_url_destination_allowed_hosts": listed}})
        key = gateway.admin.key()
        for host in hosts:
            provider.seen.clear()
            answer = ask(gateway, key, api_base=f"http://{host}:{port}/v1", api_key="sk-mine")
            assert answer.status_code == 200, f"{listed} {host}: {answer.text}"
            assert provider.seen[-1].key == "sk-mine" and provider.seen[-1].headers["host"] == f"{host}:{port}"
            ask(gateway, key, api_base=f"http://{host}:{port}/v1")
            assert all(CANARY not in str(seen.headers) for seen in provider.seen)
        for host in closed:
            assert ask(gateway, key, api_base=f"http://{host}:{port}/v1").status_code == 400, f"{listed} {host}"


def test_a_redirect_is_not_followed(provider, start):
    gateway = start({"model_list": [opened(provider)], "router_settings": {"num_retries": 0},
                     "general_settings": {"provider_url_destination_allowed_hosts": ["localhost"]}})
    provider.answer = lambda _: Reply({}, status=307, headers={"location": f"{provider.url}/secret"})
    port = urlsplit(provider.url).port
    answer = ask(gateway, gateway.admin.key(), api_base=f"http://localhost:{port}/v1", api_key="sk-mine")
    assert answer.status_code >= 400
    assert [seen.path for seen in provider.seen] == ["/v1/chat/completions"]


def test_a_proxy_is_asked_for_the_judged_address(provider, start):
    """The proxy would resolve a name again: it gets the address."""
    asked = []

    def proxy(seen):
        asked.append((seen.method, seen.path))
        return Reply({"error": "no"}, status=403)

    provider.answer = proxy
    env = {"HTTPS_PROXY": provider.url, "HTTP_PROXY": provider.url, "NO_PROXY": ""}
    gateway = start({"model_list": [opened(provider)], "router_settings": {"num_retries": 0},
                     "general_settings": {"provider_url_destination_allowed_hosts": ["localhost:9"]}}, env=env)
    key = gateway.admin.key()
    assert ask(gateway, key, api_base="https://127.0.0.1:9/v1").status_code == 400
    assert ask(gateway, key, api_base="http://10.0.0.1:9/v1").status_code == 400
    assert asked == []
    provider.server.RequestHandlerClass.do_CONNECT = provider.server.RequestHandlerClass.do_POST
    for scheme in ("http", "https"):
        assert ask(gateway, key, api_base=f"{scheme}://localhost:9/v1").status_code >= 500
    assert asked and all(method == "CONNECT" and "localhost" not in path for method, path in asked), asked


def test_a_bad_destination_is_a_mistake_of_the_configuration(provider, start):
    with pytest.raises(RuntimeError, match="provider_url_destination_allowed_hosts"):
        start({"model_list": [opened(provider)],
               "general_settings": {"provider_url_destination_allowed_hosts": ["*.example"]}})
