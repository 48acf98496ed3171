"""`pqueue ls`: the queues that have a name."""

from __future__ import annotations

import json
from typing import Any

from pqueue.cli.glance import looked_at
from pqueue.cli.output import aligned
from pqueue.config import config_file, configured_names
from pqueue.errors import QueueAbsent, QueueError, QueueGone
from pqueue.stats import survey
from pqueue.where import parse


def report(*, as_json: bool) -> str:
    """The text to print."""
    found = [_row(name) for name in configured_names()]
    if as_json:
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if not found:
        return f"no queue has a name: {config_file() or 'pqueue.toml'} has none (pqueue init writes one)\n"
    rows = [("NAME", "WAITING", "PLACE")]
    rows += [(one["name"], one["told"], one["place"]) for one in found]
    return aligned(rows)


def _row(name: str) -> dict[str, Any]:
    """One queue; what is wrong with it keeps no other from being shown."""
    row: dict[str, Any] = {"name": name, "place": "", "waiting": None, "told": ""}
    try:
        settings = parse(name, {"create": False})
        row["place"] = _place(settings.store.model_dump(mode="json"))
        with looked_at(settings) as (store, codecs):
            stats = survey(store, codecs)
        row["waiting"] = stats.waiting + stats.given_back
        row["told"] = f"{row['waiting']:,}"
    except (QueueAbsent, QueueGone):
        row["told"] = "not made yet"
    except (QueueError, OSError) as error:
        row["told"] = f"error: {error}"
    return row


def _place(store: dict[str, Any]) -> str:
    """Where it is, as a person would write it."""
    backend = store["backend"]
    if "path" in store:
        return str(store["path"])
    if "bucket" in store:
        return f"{backend}://{store['bucket']}/{store.get('prefix', '')}".rstrip("/")
    return f"{backend}://{store.get('name', '')}"
