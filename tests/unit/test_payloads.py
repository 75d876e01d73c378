"""What the bodies say that programs send to hooks, in the formats that those document."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from chatservice.core import names
from chatservice.core.events import Refusal
from chatservice.core.stores import Hook, HookKind
from chatservice.server.web.payloads import MAX_LINE, MAX_LINES, BadPayload, texts_of


def said(payload: Any, event: str = "") -> tuple[str, ...]:
    return texts_of(json.dumps(payload).encode(), "application/json", event)


def test_a_slack_client() -> None:
    payload = {
        "channel": "#dev",
        "username": "x",
        "text": "Done: <https://ci.example/7|build 7> &amp; <https://a.b>",
    }
    line = "Done: build 7 (https://ci.example/7) & https://a.b"
    assert said(payload) == (line,)
    form = urlencode({"payload": json.dumps(payload)}).encode()
    assert texts_of(form, "application/x-www-form-urlencoded") == (line,)
    as_curl_sends_it = json.dumps(payload).encode()
    assert texts_of(as_curl_sends_it, "application/x-www-form-urlencoded") == (line,)


def test_alertmanager_by_its_slack_receiver() -> None:
    title = "[FIRING:1] HighLoad (db1)"
    payload = {
        "channel": "#ops",
        "username": "Alertmanager",
        "attachments": [
            {
                "title": title,
                "title_link": "http://am:9093/#/alerts",
                "text": "load is 12",
                "fallback": title,
                "color": "danger",
                "mrkdwn_in": ["fallback", "pretext", "text"],
            }
        ],
    }
    assert said(payload) == (f"{title} (http://am:9093/#/alerts): load is 12",)
    fallback_only = {"attachments": [{"fallback": title, "color": "good"}]}
    assert said(fallback_only) == (title,)


def test_grafana_by_its_slack_contact_point() -> None:
    payload = {
        "channel": "#ops",
        "username": "Grafana",
        "text": "",
        "attachments": [
            {
                "color": "#D63232",
                "title": "[FIRING:1] Disk full",
                "title_link": "https://grafana.example/alerting/list",
                "text": "**Firing**\nValue: A=97",
                "fallback": "[FIRING:1] Disk full",
                "footer": "Grafana v11.0.0",
                "ts": 1700000000,
            }
        ],
    }
    first, second = said(payload)
    assert first == "[FIRING:1] Disk full (https://grafana.example/alerting/list): **Firing**"
    assert second == "Value: A=97"


def test_alertmanager_in_its_own_format() -> None:
    payload = {
        "version": "4",
        "groupKey": '{}:{alertname="HighLoad"}',
        "status": "firing",
        "receiver": "chat",
        "groupLabels": {"alertname": "HighLoad"},
        "commonLabels": {"alertname": "HighLoad", "severity": "page"},
        "externalURL": "http://am:9093",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "HighLoad", "severity": "page", "instance": "db1:9100"},
                "annotations": {"summary": "load is 12"},
                "startsAt": "2026-11-27T00:00:00Z",
                "generatorURL": "http://prom/graph?g0",
                "fingerprint": "c1",
            },
            {"status": "resolved", "labels": {"alertname": "Disk"}, "annotations": {}},
        ],
    }
    assert said(payload) == (
        "[FIRING] HighLoad (page) on db1:9100: load is 12 (http://prom/graph?g0)",
        "[RESOLVED] Disk",
    )


GITHUB = {"repository": {"full_name": "octo/hello"}, "sender": {"login": "mona"}}


@pytest.mark.parametrize(
    ("event", "payload", "line"),
    [
        ("ping", {"zen": "Design for failure.", "hook_id": 1}, "GitHub is connected"),
        (
            "push",
            {
                "ref": "refs/heads/main",
                "deleted": False,
                "compare": "https://github.com/octo/hello/compare/a...b",
                "commits": [{"id": "a"}, {"id": "b"}],
                "head_commit": {"message": "Fix the door\n\nIt was ajar."},
            },
            "mona pushed 2 commits to main: Fix the door "
            "(https://github.com/octo/hello/compare/a...b)",
        ),
        (
            "pull_request",
            {
                "action": "closed",
                "number": 7,
                "pull_request": {
                    "number": 7,
                    "title": "A door",
                    "merged": True,
                    "html_url": "https://github.com/octo/hello/pull/7",
                },
            },
            "mona merged pull request #7: A door (https://github.com/octo/hello/pull/7)",
        ),
        (
            "workflow_run",
            {
                "action": "completed",
                "workflow_run": {
                    "name": "CI",
                    "head_branch": "main",
                    "conclusion": "failure",
                    "html_url": "https://github.com/octo/hello/actions/runs/1",
                },
            },
            "CI on main: failure (https://github.com/octo/hello/actions/runs/1)",
        ),
    ],
)
def test_github(event: str, payload: dict[str, Any], line: str) -> None:
    assert said(GITHUB | payload, event) == (f"[octo/hello] {line}",)


def test_other_events_of_github_say_nothing() -> None:
    assert said(GITHUB | {"action": "created"}, "star") == ()


def test_what_is_said_is_safe_and_bounded() -> None:
    assert said({"text": "\x1b[2Jred\u202e\r\n\n two"}) == ("�[2Jred�", "two")
    (long,) = said({"text": "x" * 5000})
    assert len(long) == MAX_LINE
    assert long.endswith("x…")
    many = said({"text": "\n".join(map(str, range(100)))})
    assert len(many) == MAX_LINES
    assert many[-1] == "… (81 more lines)"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"text": 5}', b"\xff", b"[" * 20_000, b'{"attachments": [5]}'],
)
def test_what_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload):
        texts_of(body, "application/json")


def test_no_person_can_be_called_like_a_hook() -> None:
    shown = Hook(1, HookKind.SPEAK, "build", "dev", "", 0.0).shown
    assert shown == "build[bot]"
    with pytest.raises(Refusal):
        names.well_formed(shown)
    with pytest.raises(Refusal):
        names.well_formed(
            "build\N{FULLWIDTH LEFT SQUARE BRACKET}bot\N{FULLWIDTH RIGHT SQUARE BRACKET}"
        )
