"""`pqueue ls`: the queues that have a name."""

from __future__ import annotations

import json
from typing import Any

from pqueue.cli.glance import checked, looked_at
from pqueue.cli.output import aligned
from pqueue.config import config_file, configured_names
from pqueue.connect import parts
from pqueue.errors import QueueAbsent, QueueError, QueueGone
from pqueue.stats import survey
from pqueue.where import parse, place

_ERROR = "error: "


def report(*, as_json: bool) -> tuple[str, list[tuple[str, Exception]]]:
    """The text to print; and which queues could not be looked at, and why."""
    found = []
    failed = []
    for name in configured_names():
        row, error = _row(name)
        found.append(row)
        if error is not None:
            failed.append((name, error))
    if as_json:
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n", failed
    if not found:
        return f"no queue has a name: {config_file() or 'pqueue.toml'} has none (pqueue init writes one)\n", failed
    rows = [("NAME", "WAITING", "PLACE")]
    rows += [(one["name"], "error" if one["told"].startswith(_ERROR) else one["told"], one["place"]) for one in found]
    return aligned(rows), failed


def _row(name: str) -> tuple[dict[str, Any], Exception | None]:
    """One queue, and its error; that keeps no other from being shown."""
    row: dict[str, Any] = {"name": name, "place": "", "waiting": None, "told": ""}
    try:
        settings = parse(name, {"create": False})
        row["place"] = place(settings)
        parts(settings)  # also where no queue is yet
        with looked_at(settings) as (store, codecs):
            stats = survey(store, codecs)
        checked(settings, stats.meta)
        row["waiting"] = stats.waiting + stats.given_back
        row["told"] = f"{row['waiting']:,}"
    except (QueueAbsent, QueueGone):
        row["told"] = "not made yet"
    except (QueueError, OSError) as error:
        row["told"] = f"{_ERROR}{error}"
        return row, error
    return row, None
