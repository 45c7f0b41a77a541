"""A recording holds nothing that is the admin's own, and is a host to test with."""

import json
import pathlib
import re
import time

import pytest
from esxi_sim import VM, BadAnswer, VMFaults
from esxi_sim.replay import replay

PASSWORD = "hUsh7Qx-of-the-host"
HOSTS = sorted((pathlib.Path(__file__).resolve().parents[1] / "data/hosts").glob("*.json"))


@pytest.fixture
def record(check, tmp_path):
    """record(world, word, ...): (the Outcome, the recording's path)"""
    def run(host, *words):
        path = tmp_path / "host.json"
        return check(host, "--record", str(path), *words), path

    return run


@pytest.fixture
def replayed(check, world):
    """replayed(path): the Outcome of the check of a host that says what was recorded."""
    def run(path):
        host = world([])
        replay(host, path)
        return check(host)

    return run


def table(outcome):
    return [(name, status) for name, (status, _, _) in outcome.checks.items()]


#: VMs, and words that must not be in a recording of their host
PRIVATE = {
    "plain names": ([VM("zanzibar-db01"), VM("Zanzibar Mail")], ["zanzibar", "db01", "Mail"]),
    "UUIDs": ([VM("node1", uuid="564d36cf-6988-c91d-0f5f-a62628d46553")],
              ["564d36cf", "56 4d 36", "a62628d46553", "d4 65 53"]),
    "a name of the host's own words": ([VM("Powered off"), VM("World ID"), VM("vmx")], []),
    "many short names": ([VM(letter) for letter in "abcdefghijklmnop"], []),
    "letters of other scripts": ([VM("データベース"), VM("Größenwahn", note="Überraschung")],
                                 ["データ", "Größ", "berrasch"]),
    "bytes that are no letters": ([VM("caf\udce9-zebra")], ["zebra"]),
    "escaped and quoted": ([VM("zig/zag%"), VM("o'zebra\\"), VM("[zulu] x (y)")],
                           ["zig", "zag", "zebra", "zulu"]),
    "datastores and folders": ([VM("node1", datastore="Tank 7", directory="Tresor",
                                   vmx="geheim.vmx")], ["Tank", "Tresor", "geheim"]),
    "notes": ([VM("node1", note=f"call Zoe 0815\nthe password is {PASSWORD}\n10.11.12.13 ok"),
               VM("node2", note='x\n      name = "Zorro", \n   World ID: 4711\nPowered off")'),
               VM("node3", note="x\ntrue tale of Zoltan\nkey = (vim.Zuzu) {\n1234567, \n")],
              ["Zoltan", "Zuzu", "1234567", "Zoe", "0815", "Zorro", "4711", "10.11.12.13", "call"]),
    "names like values": ([VM("471147"), VM("Tresor = 815")], ["471147", "Tresor"]),
    "notes like values": ([VM("node1", note='owner = "kim",\nPIN = 471147\nkey = hunter2\n'
                              'loginState = Zoltan\n90210\nkim = "x", \n    key = hunter3')],
                          ["owner", "471147", "hunter", "Zoltan", "90210"]),
    "what the guest calls itself": ([VM("node1", guest_host="zeus.example.org")],
                                    ["zeus", "example"]),
    "a question": ([VM("node1", faults=VMFaults(question="msg.x:Is Zeppelin moved?\n0. Zero\n"))],
                   ["Zeppelin"]),
}


@pytest.mark.parametrize("case", PRIVATE)
def test_nothing_of_the_admins_own_is_in_it(record, replayed, world, case):
    vms, words = PRIVATE[case]
    outcome, path = record(world(vms))
    text = path.read_text(encoding="utf-8")
    shown = json.dumps(json.loads(text), ensure_ascii=False)
    for word in [*words, PASSWORD, "192.168.33.10"]:
        assert word not in shown
    assert table(replayed(path)) == table(outcome)


def test_it_takes_the_place_of_an_older_one(record, world):
    _, path = record(world([VM("node1"), VM("node2")]))
    record(world([]))
    assert "look inventory" in json.loads(path.read_text())["table"]


def test_a_password_that_the_host_prints_is_not_in_it(record, world):
    _, path = record(world([VM(PASSWORD)]))
    assert PASSWORD not in path.read_text(encoding="utf-8")


def test_a_password_of_the_hosts_words_is_not_in_it(record, world):
    host = world([VM("node1")], bad_answers=[BadAnswer(
        "^localcli", "text", 9, "Error: operation-failed is no password\n", 1)])
    _, path = record(host, "--password=operation-failed")
    assert "operation-failed" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("password", ["!?_-!?#", "caf\udce9-!"])
def test_a_password_without_a_stand_in_of_its_kind_is_not_in_it(record, world, password):
    _, path = record(world([VM("node1", note="x\n" + password)]), "--password=" + password)
    assert password not in json.dumps(json.loads(path.read_text()), ensure_ascii=False)


@pytest.mark.parametrize("column", ["   [a]", "   [a] b.vmx"])
def test_a_note_does_not_hold_it_up(record, world, column):
    host = world([VM("node1", note="x\n1 a" + column * 400)])
    started = time.process_time()
    record(host)
    assert time.process_time() - started < 4


def test_stand_ins_have_the_same_length_and_kind(record, world):
    host = world([VM("Web-01 x", uuid="564d36cf-6988-c91d-0f5f-a62628d46553"), VM("データ")])
    _, path = record(host)
    heard = {each["command"]: each["text"] for each in json.loads(path.read_text())["heard"]}
    header, row, second = heard["vim-cmd vmsvc/getallvms"]
    name = re.match(r"1      ([A-Z][a-z]{2}-[0-9]{2} [a-z])   \[[a-z]{9}[0-9]\] \1/\1\.vmx ", row)
    assert name
    assert re.match(r"2      [\u3040-\u309f]{3}        ", second)
    assert len(row) == len(header) == len(second)
    blocks = "".join(heard["localcli vm process list"])
    assert re.search(r"\n%s:\n   World ID: 2097159\n" % re.escape(name[1]), blocks)
    digits = re.search(r"   UUID: (.*)\n", blocks)[1].replace(" ", "").replace("-", "")
    assert digits != "564d36cf6988c91d0f5fa62628d46553"
    assert any(digits in line.replace("-", "") for line in heard["vim-cmd vmsvc/get.summary 1"])


def test_an_unknown_layout_keeps_the_words_of_the_host(record, world):
    host = world([VM("zanzibar")])
    from esxi_sim import Answer
    host.on_command = lambda argv: Answer("World ID | Display Name\n2097159 | zanzibar\n") if (
        argv[0] == "localcli") else None
    _, path = record(host)
    heard = {each["command"]: each["text"] for each in json.loads(path.read_text())["heard"]}
    first, second = heard["localcli vm process list"]
    assert first == "World ID | Display Name\n"
    assert re.match(r"\d{7} \| [a-z]{8}\n", second)
    assert "zanzibar" not in second


def test_notes_below_an_unknown_header_are_not_in_it(record, world):
    host = world([])
    from esxi_sim import Answer
    host.on_command = lambda argv: Answer(
        "Vmid   Name   File   Owner   Annotation\n1   n1   [d] n1/n1.vmx   root   x\n"
        "PIN = 471147\n90210\n   key = 815815\n") if "vmsvc/getallvms" in argv else None
    _, path = record(host)
    heard = {each["command"]: "".join(each["text"])
             for each in json.loads(path.read_text())["heard"]}
    listed = heard["vim-cmd vmsvc/getallvms"]
    assert listed.startswith("Vmid   Name   File ")
    assert not re.search("471147|90210|815815", listed)


@pytest.mark.parametrize("release", ["5.5", "8.0"])
def test_what_hostd_says_when_it_is_down_is_kept(record, world, release):
    host = world([VM("node1")], release, hostd="down")
    _, path = record(host)
    heard = {each["command"]: each for each in json.loads(path.read_text())["heard"]}
    assert heard["vim-cmd vmsvc/getallvms"]["text"] == [host.release.vim_cmd_down + "\n"]
    assert heard["esxcli vm process list"]["text"] == [host.release.esxcli_down + "\n"]


def test_a_fault_is_kept_but_for_its_numbers(record, world):
    _, path = record(world([VM("node1")]))
    (fault,) = [each["text"] for each in json.loads(path.read_text())["heard"]
                if each["status"] == 1]
    assert fault[:3] == ["(vim.fault.NotFound) {\n", "   faultCause = (vmodl.MethodFault) null, \n",
                         "   faultMessage = <unset>\n"]
    assert re.match(r'   msg = "Unable to find a VM corresponding to "[0-9]{4}""\n', fault[3])


def test_what_hangs_hangs_in_the_replay(record, replayed, world):
    outcome, path = record(world([VM("node1")], hostd="hung"))
    assert "what a hostd that hangs does" in "".join(outcome.notes)
    assert table(replayed(path)) == table(outcome)


def test_it_says_what_was_replaced_and_what_it_settles(record, world):
    outcome, path = record(world([VM("node1", note="a\nb"), VM("größe")], invalid_vms=[9]))
    replaced, settles, read_it = outcome.notes
    assert re.search(r"stand-ins for [0-9]+ words .* [0-9]+ UUIDs, [0-9]+ addresses", replaced)
    for point in ("unknown Vmid", "localcli lists", "ps", "get.summary", "keeps its row",
                  "notes of several lines", "beyond ASCII"):
        assert point in settles
    assert "%2f" not in settles
    assert "read the file before you send it" in read_it
    assert path.stat().st_mode & 0o777 == 0o600


# -- hosts that were recorded: a file dropped into tests/data/hosts is a test ----------------------


def test_there_are_recordings():
    assert HOSTS


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.stem)
def test_the_agent_reads_what_a_host_said(tool, path):
    for each in json.loads(path.read_text())["heard"]:
        if each["status"] != 0:
            continue
        answer = tool.agent.Answer(each["status"], "".join(each["text"]))
        parse = {"vim-cmd vmsvc/getallvms": tool.agent.parse_inventory,
                 "ps": tool.agent.parse_worlds,
                 "localcli vm process list": tool.agent.parse_processes,
                 "esxcli vm process list": tool.agent.parse_processes,
                 "vim-cmd vmsvc/get.summary": tool.agent.parse_summary,
                 "vim-cmd vmsvc/power.getstate": tool.agent.parse_power_state,
                 }.get(re.sub(r" [0-9]+\Z", "", each["command"]))
        assert parse is None or parse(answer) is not None, each["command"]


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.stem)
def test_a_recorded_host_gives_the_table_it_gave(replayed, path):
    of_the_login = ("login", "host key", "plug")  # these depend on how it was asked
    recorded = [line.partition(" ")[::2] for line in json.loads(path.read_text())["table"]]
    expected = [(name, status) for status, name in recorded if name not in of_the_login]
    assert [pair for pair in table(replayed(path)) if pair[0] not in of_the_login] == expected
