"""What the body of a hook's request says: as Slack and Mattermost take it, or Alertmanager's own
JSON, or GitHub's."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from chatservice.core.sanitize import limit_marks, sanitize

# A hook says so many lines at once, of so many characters: more is not read in a chat.
MAX_LINES = 20
MAX_LINE = 1000
MAX_PARTS = 10  # attachments, alerts and the like
_LINK = re.compile(r"<((?:https?|mailto):[^<>|\s]+)(?:\|([^<>]*))?>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_LINE_ENDS = re.compile(r"\r\n|[\r\n]")


class BadPayload(Exception):
    """It makes no sense; the message is a sentence that says why."""


def texts_of(body: bytes, content_type: str, github_event: str = "") -> tuple[str, ...]:
    """The lines that are said, each fit for everybody's terminal; none: there is nothing to say.
    `github_event`: what GitHub calls it, in a header. Raises `BadPayload`."""
    payload = _parsed(body, content_type)
    if github_event:
        lines = _github(github_event, payload)
    elif isinstance(payload.get("alerts"), list) and "text" not in payload:
        lines = _alerts(payload)
    else:
        lines = _slack(payload)
        if not lines:
            raise BadPayload('There is no "text" in it, and no attachment.')
    return _bounded(lines)


def _parsed(body: bytes, content_type: str) -> Mapping[str, Any]:
    try:
        form = content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"
        if form and not body.lstrip().startswith(b"{"):  # curl calls JSON a form, too
            fields = parse_qs(body.decode(), max_num_fields=20)
            if "payload" not in fields:
                raise BadPayload("The form has no field payload.")
            parsed = json.loads(fields["payload"][0])
        else:
            parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise BadPayload("This is not JSON.") from None
    if not isinstance(parsed, dict):
        raise BadPayload("This is not a JSON object.")
    return parsed


def _bounded(lines: Iterable[str]) -> tuple[str, ...]:
    said = [
        limit_marks(sanitize(line)).strip() for text in lines for line in _LINE_ENDS.split(text)
    ]
    said = [f"{line[: MAX_LINE - 1]}…" if len(line) > MAX_LINE else line for line in said if line]
    if len(said) > MAX_LINES:
        said[MAX_LINES - 1 :] = [f"… ({len(said) - MAX_LINES + 1} more lines)"]
    return tuple(said)


def _slack(payload: Mapping[str, Any]) -> list[str]:
    lines = [_readable(_text(payload, "text"))]
    for attachment in _objects(payload, "attachments"):
        title, link = _text(attachment, "title"), _text(attachment, "title_link")
        text = _text(attachment, "text")
        head = _with_link(_readable(title), link)
        parts = [part for part in (head, _readable(text)) if part]
        lines.append(": ".join(parts) or _readable(_text(attachment, "fallback")))
    return [line for line in lines if line]


def _readable(text: str) -> str:
    """Slack's ``<url|label>`` as people read it, and the characters that it wants escaped."""
    text = _LINK.sub(lambda link: _with_link(link[2] or "", link[1]), text)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


def _with_link(label: str, url: str) -> str:
    if not url or label == url:
        return label or url
    return f"{label} ({url})" if label else url


def _alerts(payload: Mapping[str, Any]) -> list[str]:
    """Alertmanager's own: a line for each alert."""
    lines = []
    for alert in _objects(payload, "alerts"):
        labels, notes = _object(alert, "labels"), _object(alert, "annotations")
        status = (_text(alert, "status") or _text(payload, "status") or "firing").upper()
        what = _text(labels, "alertname") or "alert"
        if severity := _text(labels, "severity"):
            what += f" ({severity})"
        if instance := _text(labels, "instance"):
            what += f" on {instance}"
        why = _text(notes, "summary") or _text(notes, "description") or _text(notes, "message")
        line = f"[{status}] {what}" + (f": {why}" if why else "")
        lines.append(_with_link(line, _text(alert, "generatorURL")))
    if more := len(payload["alerts"]) - len(lines):
        lines.append(f"… ({more} more alerts)")
    return lines


def _github(event: str, payload: Mapping[str, Any]) -> list[str]:
    """One line for what people want to know of; none for other events."""
    repository = _text(_object(payload, "repository"), "full_name")
    who = _text(_object(payload, "sender"), "login")
    action = _text(payload, "action").replace("_", " ")
    said = ""
    match event:
        case "ping":
            said = "GitHub is connected"
        case "push":
            said = _push(payload, who)
        case "pull_request" | "issues":
            item = _object(payload, "pull_request" if event == "pull_request" else "issue")
            if action == "closed" and item.get("merged") is True:
                action = "merged"
            kind = "pull request" if event == "pull_request" else "issue"
            said = _with_link(f"{who} {action} {kind} {_titled(item)}", _text(item, "html_url"))
        case "issue_comment":
            comment = _object(payload, "comment")
            said = f"{who} commented on {_titled(_object(payload, 'issue'))}"
            said = _with_link(said, _text(comment, "html_url"))
        case "release" if action == "published":
            release = _object(payload, "release")
            said = f"{who} published {_text(release, 'name') or _text(release, 'tag_name')}"
            said = _with_link(said, _text(release, "html_url"))
        case "workflow_run" if action == "completed":
            run = _object(payload, "workflow_run")
            said = f"{_text(run, 'name')} on {_text(run, 'head_branch')}: "
            said = _with_link(said + _text(run, "conclusion"), _text(run, "html_url"))
    if not said:
        return []
    first = _LINE_ENDS.split(said)[0]
    return [f"[{repository}] {first}" if repository else first]


def _push(payload: Mapping[str, Any], who: str) -> str:
    branch = _text(payload, "ref").removeprefix("refs/heads/").removeprefix("refs/tags/")
    if payload.get("deleted") is True:
        return f"{who} deleted {branch}"
    commits = payload.get("commits")
    count = len(commits) if isinstance(commits, list) else 0
    title = _LINE_ENDS.split(_text(_object(payload, "head_commit"), "message"))[0]
    said = f"{who} pushed {count} commit{'' if count == 1 else 's'} to {branch}"
    return _with_link(f"{said}: {title}" if title else said, _text(payload, "compare"))


def _titled(item: Mapping[str, Any]) -> str:
    number = item.get("number")
    number = number if isinstance(number, int) else "?"
    return f"#{number}: {_LINE_ENDS.split(_text(item, 'title'))[0]}"


def _text(payload: Mapping[str, Any], key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def _object(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = payload.get(key)
    return value if isinstance(value, dict) else {}


def _objects(payload: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    if isinstance(values := payload.get(key), list):
        found += [value for value in values if isinstance(value, dict)]
    return found[:MAX_PARTS]
