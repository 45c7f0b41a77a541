"""The values of options, and what of them nobody may see."""

import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

SECRET = "Pa$$ w0rd*ü"


@pytest.mark.parametrize("value", ["0", "no", "off", "false", "No", "OFF", " False ", 0])
def test_a_flag_that_is_given_as_no(agent, value):
    assert agent.is_true({"--missing-as-off": value}, "--missing-as-off") is False


@pytest.mark.parametrize("value", ["1", "yes", "on", "true", "TRUE", "", 1])
def test_a_flag_that_is_given_as_yes(agent, value):
    """On the command line a flag has no value, and the library stores "" for it."""
    assert agent.is_true({"--missing-as-off": value}, "--missing-as-off") is True


def test_a_flag_that_is_not_given(agent):
    assert agent.is_true({}, "--missing-as-off") is False


@pytest.mark.parametrize(("value", "number"), [("7", 7), ("0", 0), ("", 0), (None, 0), (60, 60)])
def test_whole_numbers(agent, value, number):
    assert agent.whole_number({"--retry-on": value}, "--retry-on") == number


@pytest.mark.parametrize("value", ["-1", "1.5", "1s", "x", " 1", "1\n", "1234567", "\u0663"])
def test_what_is_no_whole_number(agent, value):
    with pytest.raises(agent.BadInput, match="retry_on="):
        agent.whole_number({"--retry-on": value}, "--retry-on")


@pytest.mark.parametrize(("option", "default"), [
    ("--login-timeout", 21), ("--shell-timeout", 10), ("--power-timeout", 12),
])  # fmt: skip
def test_no_limit_means_the_limit_of_the_agent(agent, option, default):
    """Under Pacemaker the library sets every limit to 0: to wait for ever."""
    assert agent.seconds({option: "0"}, option) == default
    assert agent.seconds({}, option) == default
    assert agent.seconds({option: "3"}, option) == 3


def test_the_secret(agent):
    assert agent.secret_of({"--password": SECRET}) == SECRET
    assert not agent.secret_of({"--identity-file": "/k"})
    assert agent.secret_of({"--identity-file": "/k", "--password": "phrase"}) == "phrase"


@pytest.mark.parametrize("options", [{}, {"--password": ""}, {"--password": None}])
def test_no_secret_at_all(agent, options):
    with pytest.raises(agent.BadInput, match="password is empty"):
        agent.secret_of(options)


@pytest.mark.parametrize("code", [*range(0x20), 0x7F])
def test_a_secret_with_a_control_character_is_refused_unquoted(agent, code):
    with pytest.raises(agent.BadInput) as refusal:
        agent.secret_of({"--password": f"hush{chr(code)}x"})
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("plug", ["", " ", "\t", None])
def test_an_empty_plug_is_refused(agent, plug):
    with pytest.raises(agent.BadInput, match="plug="):
        agent.plug_of({"--plug": plug})


SHOW_OWN_COMMAND_LINE = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("agent", sys.argv[1])
agent = importlib.util.module_from_spec(spec)
spec.loader.exec_module(agent)
agent.hide_from_process_list({"--password": os.environ["SECRET"]})
with open("/proc/self/cmdline", "rb") as words:
    sys.stdout.buffer.write(words.read())
"""


@pytest.mark.parametrize("words", [
    ("--password=" + SECRET, "--ip=192.0.2.1"), ("-p", SECRET, "-a", "192.0.2.1"),
    ("-p" + SECRET,), ("--passw=" + SECRET, "-v"),
])  # fmt: skip
def test_the_password_leaves_the_process_list(agent_path, words):
    """The other words stay, and stay as long as they were."""
    command = [sys.executable, "-c", SHOW_OWN_COMMAND_LINE, str(agent_path), *words]
    shown = subprocess.run(
        command, env=dict(os.environ, SECRET=SECRET), capture_output=True, check=True
    ).stdout
    stars = "*" * len(SECRET.encode())
    expected = [word.replace(SECRET, stars) for word in command[3:]]
    assert shown.decode().split("\0")[-len(expected) - 1 : -1] == expected


def filtered(agent, message, *arguments):
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, message, arguments, None)
    assert agent.CleanLog().filter(record)
    return record.getMessage()


@pytest.mark.parametrize("value", [SECRET, "hush=hush", "hush\nhush", "hush's", "hu'sh=", "-hush"])
def test_the_value_of_an_unknown_option_is_not_logged(agent, value):
    """It may be the password behind a misspelt password=; the library logs the whole line."""
    line = filtered(agent, f"Parse error: Ignoring unknown option 'pasword={value}'\n")
    assert line.startswith("Parse error: Ignoring unknown option 'pasword")
    assert value not in line
    assert "hu" not in line


def test_a_line_without_a_name_is_not_logged(agent):
    """A password with a line end in it arrives as a line of its own."""
    assert "hush" not in filtered(agent, "Parse error: Ignoring unknown option 'hush hush'\n")


def test_other_lines_are_logged_as_they_are(agent):
    assert filtered(agent, "%s is off: %d %%", "größe", 5) == "größe is off: 5 %"
    assert filtered(agent, "100 % of it") == "100 % of it"


def test_what_is_not_text_is_logged_escaped(agent):
    assert filtered(agent, "VM \udce4\udcff\n") == r"VM \udce4\udcff"


@given(st.text(st.characters(codec=None)))
def test_every_line_can_be_written_to_the_system_log(agent, text):
    filtered(agent, "%s", text).encode("utf-8")
