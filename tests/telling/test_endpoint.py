"""Where metrics are scraped: real sockets on this machine."""

from __future__ import annotations

import gzip
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from prometheus_client.parser import text_string_to_metric_families

from batchwasm.errors import WorldError
from batchwasm.telling.endpoint import CLIENTS, Address, Endpoint, address
from tests.telling.test_metrics import full


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint(address(":0"), full().figures)) as endpoint:
        yield endpoint


def port_of(endpoint: Endpoint) -> int:
    return int(endpoint.url.removesuffix("/metrics").rpartition(":")[2])


def scraped(url: str, **headers: str) -> tuple[bytes, str]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.read(), answer.headers["Content-Type"]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9400", "127.0.0.1", 9400),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:9400", "::1", 9400),
        ("lab01.example.org:65535", "lab01.example.org", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port_and_without_host_this_machine_alone(text: str, host: str, port: int) -> None:
    assert address(text) == Address(host, port)
    assert address(str(address(text))) == Address(host, port)


@pytest.mark.parametrize("text", ["", ":", "9400", "a:b", ":-1", ":65536", "::1:9400", ":9 400", ":٣", "http://a:1/x"])
def test_what_is_no_address_is_told_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an address; write such as :9400"):
        address(text)


def test_prometheus_gets_text_and_whoever_asks_for_openmetrics_gets_that(endpoint: Endpoint) -> None:
    text, kind = scraped(endpoint.url)
    assert kind.startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(text.decode())}
    assert {"batchwasm_tasks", "batchwasm_attempts", "batchwasm_host_load1"} <= names
    text, kind = scraped(endpoint.url, Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    packed, _ = scraped(endpoint.url, **{"Accept-Encoding": "gzip"})
    assert b"batchwasm_tasks{" in gzip.decompress(packed)


def test_a_port_that_is_taken_is_told_before_anything_starts(endpoint: Endpoint) -> None:
    with pytest.raises(WorldError, match=rf"--metrics 127.0.0.1:{port_of(endpoint)}: somebody listens there already"):
        Endpoint(address(f":{port_of(endpoint)}"), full().figures)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_so_is_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(WorldError, match=f"--metrics {host}:9400: "):
        Endpoint(Address(host, 9400), full().figures)


def test_clients_that_say_nothing_are_bounded_and_hold_nobody_up(
    endpoint: Endpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ("127.0.0.1", port_of(endpoint))
    before = threading.active_count()
    with ExitStack() as stack:
        mute = [stack.enter_context(socket.create_connection(where, timeout=30)) for _ in range(CLIENTS + 4)]
        assert mute[-1].recv(1) == b""  # turned away
        assert threading.active_count() <= before + CLIENTS
        for client in mute:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # reset, no end
    while True:  # as Prometheus, which comes again
        try:
            assert b"batchwasm_tasks" in scraped(endpoint.url)[0]
            break
        except (ConnectionError, urllib.error.URLError):
            pass
    assert capfd.readouterr() == ("", "")


def test_nothing_listens_any_more_when_it_is_closed() -> None:
    with closing(Endpoint(address(":0"), full().figures)) as endpoint:
        scraped(endpoint.url)
    with pytest.raises(urllib.error.URLError):
        scraped(endpoint.url)
