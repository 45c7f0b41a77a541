"""Texts of a host: the captured ones from tests/data, and tables written by the rule of the facts.

A case is two files: NAME.txt, the bytes the host sent, and NAME.json, with
    source     where the text comes from: CONFIRMED, INFERRED, or made up by whoever is hostile
    status     the exit status of the command, 0 where it is not given
    expected   what the agent must make of it
"""

import json
import pathlib

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
KINDS = ("inventory", "power_state", "processes", "worlds", "faults", "questions", "summaries",
         "vmx")
COLUMNS = ("Vmid", "Name", "File", "Guest OS", "Version", "Annotation")


def names_of(kind):
    """The cases of a kind: a new file is a new test."""
    return sorted(path.stem for path in (DATA / kind).glob("*.txt"))


def description(kind, name):
    """What NAME.json says about a case."""
    return json.loads((DATA / kind / f"{name}.json").read_text())


def text_of(kind, name):
    """A captured text as the session hands it over: UTF-8, foreign bytes as surrogates, lines
    that end as everywhere.
    """
    text = (DATA / kind / f"{name}.txt").read_bytes().replace(b"\r\n", b"\n")
    return text.decode("utf-8", "surrogateescape")


def answer_of(agent, kind, name):
    """A case as the Answer of a command, and what the agent must make of it."""
    case = description(kind, name)
    return agent.Answer(case.get("status", 0), text_of(kind, name)), case["expected"]


def inventory_table(rows):
    """What getallvms prints for rows of six cells.

    A column is as wide as its longest cell, three blanks lie between two columns, headers are
    centred, cells stand left and are padded, the last one too (facts: 1.1).
    """
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = ["   ".join(map(_centred, COLUMNS, widths))]
    lines += ["   ".join(map(str.ljust, row, widths)) for row in rows]
    return "".join(line + "\n" for line in lines)


def _centred(header, width):
    left = (width - len(header)) // 2
    return (" " * left + header).ljust(width)


UUID = "56 4d 36 cf 69 88 c9 1d-0f 5f a6 26 28 d4 65 53"


def process_block(world_id, name, config_file, uuid=UUID):
    """One running VM as esxcli lists it (facts: 6)."""
    return (
        f"{name}\n"
        f"   World ID: {world_id}\n"
        f"   Process ID: 0\n"
        f"   VMX Cartel ID: {int(world_id) - 1}\n"
        f"   UUID: {uuid}\n"
        f"   Display Name: {name}\n"
        f"   Config File: {config_file}\n"
        "\n"
    )
