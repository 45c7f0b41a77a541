"""The command line of ssh: what the agent promises stands before what the user adds."""

import logging
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st


def given_options(options):
    words = {"--ip": "192.0.2.10", "--username": "root", "--ipport": "22", "--password": "x"}
    words.update({"--" + name.replace("_", "-"): value for name, value in options.items()})
    return words


def argv(agent, **options):
    return agent.ssh_argv(given_options(options))


def login(agent, **options):
    """The Login, its values checked."""
    given = given_options(options)
    return agent.login_of(given, given)


def position(words, *option):
    """Where an option with its value stands; it must stand there exactly once."""
    found = [at for at in range(len(words)) if tuple(words[at : at + len(option)]) == option]
    assert len(found) == 1, (option, words)
    return found[0]


def without_numbers(words):
    """The words with the figures of timing left open: they are a matter of taste."""
    return [re.sub(r"^(Connect|ServerAlive)(\w+)=[1-9][0-9]*$", r"\1\2=N", word) for word in words]


def test_with_a_password(agent):
    assert without_numbers(argv(agent)) == [
        "/usr/bin/ssh",
        *("-o", "ControlPath=none"),
        *("-o", "NumberOfPasswordPrompts=1"),
        *("-o", "PreferredAuthentications=keyboard-interactive,password"),
        *("-o", "StrictHostKeyChecking=accept-new"),
        *("-o", "ConnectTimeout=N"),
        *("-o", "ServerAliveInterval=N"),
        *("-o", "ServerAliveCountMax=N"),
        "-T",
        *("-p", "22", "-l", "root"),
        *("--", "192.0.2.10", agent.READ_LOOP),
    ]


def test_with_a_key(agent):
    words = argv(agent, identity_file="/root/my key")
    position(words, "-i", "/root/my key")
    position(words, "-o", "IdentitiesOnly=yes")
    position(words, "-o", "PreferredAuthentications=publickey")
    assert not any("keyboard-interactive" in word for word in words)


def test_what_the_user_adds_stands_behind_the_promises_and_before_the_defaults(agent):
    options = "-2 -o ConnectTimeout=77"
    words = without_numbers(argv(agent, ssh_options=options, known_hosts="/etc/kh"))
    added = position(words, "-2")
    for promise in ("ControlPath=none", "NumberOfPasswordPrompts=1", "StrictHostKeyChecking=yes",
                    'UserKnownHostsFile="/etc/kh"', "GlobalKnownHostsFile=/dev/null",
                    "UpdateHostKeys=no"):  # fmt: skip
        assert position(words, "-o", promise) < added
    timing = [at for at, word in enumerate(words) if word == "ConnectTimeout=N"]
    assert timing[0] == added + 2
    assert position(words, "-o", "ServerAliveInterval=N") > added
    # the last -t or -T wins, so ours stands behind
    assert position(words, "-T") > added


def test_a_pin_is_in_force_only_where_it_is_asked_for(agent):
    assert not any("KnownHosts" in word or "=yes" in word for word in argv(agent))


def test_an_unknown_host_key_is_accepted_unless_the_user_says_otherwise(agent):
    words = argv(agent, ssh_options="-o StrictHostKeyChecking=yes")
    ours = position(words, "-o", "StrictHostKeyChecking=accept-new")
    assert position(words, "-o", "StrictHostKeyChecking=yes") < ours  # ssh takes the first


def test_a_pin_with_blanks_in_its_path(agent):
    position(argv(agent, known_hosts="/my hosts"), "-o", 'UserKnownHostsFile="/my hosts"')


@pytest.mark.parametrize("family", ["4", "6"])
def test_the_family_of_addresses(agent, family):
    assert f"-{family}" in argv(agent, **{f"inet{family}_only": "1"})
    assert f"-{family}" not in argv(agent, **{f"inet{family}_only": "0"})


def test_another_ssh_with_words_of_its_own(agent):
    assert argv(agent, ssh_path="/opt/my\\ ssh -F none")[:3] == ["/opt/my ssh", "-F", "none"]


def test_the_remote_command_is_always_the_loop(agent, caplog):
    caplog.set_level(logging.INFO)
    words = argv(agent, ssh_options="-2 -o X=Y reboot now")
    assert words[-3:] == ["--", "192.0.2.10", agent.READ_LOOP]
    assert "reboot" not in words
    assert "now" not in words
    assert "reboot now" in caplog.text


@pytest.mark.parametrize("options", [
    "", "-2", "-4 -C", "-o A=b -oC=d", "-c aes256-ctr", "-m hmac-sha2-256", "-i /root/k -F /x",
    "-o 'A=b c'", "-vvv", "-J jump -b 192.0.2.1",
])  # fmt: skip
def test_ssh_options_arrive_word_for_word(agent, options):
    words = shlex.split(options)
    start = argv(agent).index("NumberOfPasswordPrompts=1") + 1
    assert argv(agent, ssh_options=options)[start : start + len(words)] == words
    assert len(argv(agent, ssh_options=options)) == len(argv(agent)) + len(words)


@pytest.mark.parametrize(("option", "value", "said"), [
    ("ssh_options", "-o 'A=b", "ssh_options cannot be split into words"),
    ("ssh_options", "--no-such-option", "ssh_options cannot be used"),
    ("ssh_options", "-o", "ssh_options cannot be used"),
    ("ssh_options", "-9", "ssh_options cannot be used"),
    ("ssh_options", "-2 -n", "ssh_options cannot hold -n"),
    ("ssh_options", "-fN", "ssh_options cannot hold -f"),
    ("ssh_options", "-W a:1", "ssh_options cannot hold -W"),
    ("ssh_path", '"/usr/bin/ssh', "ssh_path cannot be split into words"),
    ("username", "-oProxyCommand=x", "username="),
    ("username", "", "username="),
    ("username", "a b", "username="),
    ("username", "a'b", "username="),
    ("username", "a\n", "username="),
    ("ip", "-oProxyCommand=x", "ip="),
    ("ip", "", "ip="),
    ("ip", "a b", "ip="),
    ("ip", 'a"b', "ip="),
    ("ipport", "0", "ipport="),
    ("ipport", "65536", "ipport="),
    ("ipport", "22x", "ipport="),
    ("ipport", "-1", "ipport="),
    ("ipport", "\u0662\u0662", "ipport="),
    ("known_hosts", '/a"b', "known_hosts="),
    ("known_hosts", "/a\nb", "known_hosts="),
])  # fmt: skip
def test_what_is_not_usable_is_refused_by_name(agent, option, value, said):
    with pytest.raises(agent.Final) as refusal:
        login(agent, **{option: value})
    assert said in str(refusal.value)


@given(
    username=st.text(max_size=5), ip=st.text(max_size=5), port=st.text(max_size=6),
    options=st.text(max_size=12), pin=st.text(max_size=5),
)  # fmt: skip
def test_no_value_can_pose_as_an_option(agent, username, ip, port, options, pin):
    try:
        words = login(
            agent, username=username, ip=ip, ipport=port, ssh_options=options, known_hosts=pin
        ).argv
    except agent.Final:
        return
    assert words[-3:] == ["--", ip, agent.READ_LOOP]
    assert words[-5:-3] == ["-l", username]
    assert not username.startswith("-")
    assert not ip.startswith("-")
