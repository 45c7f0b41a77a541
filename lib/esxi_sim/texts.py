"""Texts an ESXi host prints: fault blocks, tables, messages. Pure functions, no state."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import List, Sequence, Tuple

from .releases import Release

_FOLDER = Path(__file__).parent / "texts"

INVENTORY_HEADER = ("Vmid", "Name", "File", "Guest OS", "Version", "Annotation")


def to_bytes(text: object) -> bytes:
    """Text as the host prints it. Surrogates stand for bytes that are no UTF-8."""
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")


@functools.lru_cache(maxsize=None)
def stored(file: str) -> str:
    """A text from the folder texts/, to be filled in with the % operator: ${name} is %(name)s.

    Lines at its top that begin with `#: ` say where it comes from and are left out.
    """
    lines = (_FOLDER / file).read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("#: "))
    return re.sub(r"\$\{(\w+)\}", r"%(\1)s", text.replace("%", "%%"))


@functools.lru_cache(maxsize=None)
def stored_block(file: str, release: Release) -> str:
    """A stored text that holds a data object, in the release's layout: up to 5.x every field ends
    in a comma and a blank, from 6.0 on the last of each block does not (facts: 5a)."""
    text = stored(file)
    return text if release.old_faults else re.sub(r", (?=\n *[}\]])", "", text)


@functools.lru_cache(maxsize=4096)
def fault_block(release: Release, kind: str, message: str,
                fields: Tuple[Tuple[str, str], ...] = ()) -> str:
    """A fault as vim-cmd prints it (facts: 2, 3.1).

    Up to 5.x there is dynamicType and every field ends in a comma and a blank; from 6.0 there is
    faultMessage, and the last field and msg have no comma. Quotes in the message stay as they are.
    """
    pairs: List[Tuple[str, str]] = [("faultCause", "(vmodl.MethodFault) null")]
    if release.old_faults:
        pairs.insert(0, ("dynamicType", "<unset>"))
    else:
        pairs.append(("faultMessage", "<unset>"))
    pairs += [(key, value) for key, value in fields]
    pairs.append(("msg", '"%s"' % message))
    bare_from = len(pairs) if release.old_faults else len(pairs) - 2
    lines = ["   %s = %s%s\n" % (key, value, ", " if index < bare_from else "")
             for index, (key, value) in enumerate(pairs)]
    return "(%s) {\n%s}\n" % (kind, "".join(lines))


def not_found(release: Release, vmid: str) -> str:
    """The fault for an unknown Vmid (facts: 2)."""
    return fault_block(release, "vim.fault.NotFound",
                       'Unable to find a VM corresponding to "%s"' % vmid)


def no_permission(release: Release, what: str, privilege: str) -> str:
    """The fault for a user without rights (facts: 7.1 has its message)."""
    return fault_block(release, "vim.fault.NoPermission",
                       "Permission to perform this operation was denied.",
                       (("object", "'%s'" % what), ("privilegeId", '"%s"' % privilege)))


_API_POWER = {"on": "poweredOn", "off": "poweredOff", "suspended": "suspended"}
_POWER_WORDS = {"on": "Powered on", "off": "Powered off", "suspended": "Suspended"}


def api_power(power: str) -> str:
    """The name of a power state in the API: poweredOn, poweredOff, suspended."""
    return _API_POWER[power]


def power_words(power: str) -> str:
    """The state line of power.getstate (facts: 2)."""
    return _POWER_WORDS[power]


def invalid_power_state(release: Release, requested: str, existing: str) -> str:
    """The fault for a power command that does not fit the state (facts: 3.1)."""
    words = {"on": "Powered on", "suspended": "Suspended", "off": release.powered_off}[existing]
    return fault_block(
        release, "vim.fault.InvalidPowerState",
        "The attempted operation cannot be performed in the current state (%s)." % words,
        (("requestedState", '"%s"' % api_power(requested)),
         ("existingState", '"%s"' % api_power(existing))))


def question_text(release: Release, question: object) -> str:
    """The pending question: the given text, or the moved-or-copied question of the release."""
    if isinstance(question, str):
        return question if question.endswith("\n") else question + "\n"
    return stored("question-moved.txt") % {"moved": release.moved_question}


def question_pending(release: Release, question: object) -> str:
    """The fault that refuses a power.off while a question is pending (facts: 3.2)."""
    text = question_text(release, question).rstrip("\n")
    return fault_block(
        release, "vim.fault.QuestionPending",
        "The operation cannot be allowed at the current time because the virtual machine has a "
        "question pending:  '%s'." % text, (("text", '"%s"' % text),))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], pad_by_bytes: bool) -> List[str]:
    """Lay out getallvms: a column is as wide as its widest cell, columns are three blanks apart,
    header cells are centred, data cells padded to the left, the last column too (facts: 1.1)."""
    def width(cell: str) -> int:
        return len(to_bytes(cell))

    measure = width if pad_by_bytes else len
    widths = [max(map(measure, column)) for column in zip(header, *rows)]
    if pad_by_bytes:
        body = [[cell + " " * (wide - width(cell)) for cell, wide in zip(cells, widths)]
                for cells in rows]
    else:
        body = [[*map(str.ljust, cells, widths)] for cells in rows]
    top = [(" " * ((wide - len(cell)) // 2) + cell).ljust(wide)
           for cell, wide in zip(header, widths)]
    return ["   ".join(cells) for cells in [top, *body]]
