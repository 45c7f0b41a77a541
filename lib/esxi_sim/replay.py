"""A recording of a host, as esxi-fence-check --record makes it, said again command by command."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from .faults import BadAnswer
from .world import World

_FOR_EVER = 10 ** 9


def replay(world: World, recording: Path) -> None:
    """Let a world say what a host said: each command's first answer when it comes first, its second
    when it comes again, its last one from then on. What was never asked is answered by the world
    itself. Raises ValueError where the file is no recording."""
    try:
        recorded = json.loads(recording.read_text(encoding="utf-8"))["heard"]
        heard = [(" ".join(shlex.split(each["command"])), each["status"],
                  "".join(each["text"] or ())) for each in recorded]
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError("%s is no recording of a host: %s" % (recording, problem)) from problem
    last = {command: number for number, (command, _, _) in enumerate(heard)}
    world.faults.bad_answers += [
        BadAnswer(r"\A%s\Z" % re.escape(command), "hang" if status is None else "text",
                  _FOR_EVER if last[command] == number else 1, text, status)
        for number, (command, status, text) in enumerate(heard)]
