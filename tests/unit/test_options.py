"""The values of options, and what of them nobody may see."""

import logging
import time

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


GIVEN = {"--action": "off", "--ip": "192.0.2.10", "--username": "root", "--password": SECRET}
NUMBERS = ("--delay", "--power-wait", "--retry-on", "--login-timeout", "--shell-timeout",
           "--power-timeout")


def login_of(agent, **options):
    """The login of these options; None takes one away."""
    given_options = {
        **GIVEN, **{"--" + name.replace("_", "-"): value for name, value in options.items()}
    }
    usable = {name: value for name, value in given_options.items() if value is not None}
    return agent.login_of(usable, usable)


def agent_with(agent, **options):
    given_options = {**GIVEN, **options}
    return agent.Agent(given_options, given_options, None, time, 1000.0)


@pytest.mark.parametrize("option", NUMBERS)
@pytest.mark.parametrize("value", ["7", "0", 60, "007"])
def test_whole_numbers(agent, option, value):
    assert agent.login_of({**GIVEN, option: value}, {option: value}).host == "192.0.2.10"


@pytest.mark.parametrize("option", NUMBERS)
@pytest.mark.parametrize("value", ["-1", "1.5", "1s", "x", " 1", "1\n", "1234567", "\u0663"])
def test_what_is_no_whole_number(agent, option, value):
    said = option.lstrip("-").replace("-", "_") + "="
    with pytest.raises(agent.Final, match=said + ".* is not usable; give digits"):
        agent.login_of({**GIVEN, option: value}, {option: value})
    with pytest.raises(agent.Final, match=said):  # as the user gave it, before the library set it
        agent.login_of({**GIVEN, option: 0}, {option: value})


def limits_of(agent, options, given_options):
    made = agent.Agent({**GIVEN, **options}, given_options, None, time, 1000.0)
    return made.host._limits


@pytest.mark.parametrize(("kind", "default"), [("login", 20), ("shell", 8), ("power", 12)])
def test_no_limit_means_the_limit_of_the_agent(agent, kind, default):
    """Under Pacemaker the library sets every limit to 0: what the user gave counts there too."""
    option = "--%s-timeout" % kind
    for given_options in ({}, {option: "0"}):
        assert limits_of(agent, {option: 0}, given_options)[kind] == default
    assert limits_of(agent, {option: "3"}, {option: "3"})[kind] == 3
    assert limits_of(agent, {option: 0}, {option: "3"})[kind] == 3


def test_the_secret(agent):
    assert login_of(agent).secret == SECRET
    assert login_of(agent, password=None, identity_file="/k").secret is None
    assert login_of(agent, password="phrase", identity_file="/k").secret == "phrase"


@pytest.mark.parametrize("password", ["", None])
def test_no_secret_at_all(agent, password):
    with pytest.raises(agent.Final, match="password is empty"):
        login_of(agent, password=password)


@pytest.mark.parametrize("code", [*range(0x20), 0x7F])
def test_a_secret_with_a_control_character_is_refused_unquoted(agent, code):
    with pytest.raises(agent.Final, match="holds a control character") as refusal:
        login_of(agent, password=f"hush{chr(code)}x")
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("plug", ["", " ", "\t"])
def test_an_empty_plug_is_refused(agent, plug):
    with pytest.raises(agent.Final, match="plug= is empty"):
        agent_with(agent).get_power(None, {"--plug": plug})


# -- when the verdict is due


@pytest.mark.parametrize(("action", "seconds"), [
    ("off", 43.5), ("on", 43.5), ("reboot", 53.5), ("status", 19.0), ("list", 19.0),
    ("list-status", 19.0), ("monitor", 19.0),
])  # fmt: skip
def test_the_verdict_is_due_so_long_after_the_start(agent, action, seconds):
    assert agent_with(agent, **{"--action": action}).host.deadline == 1000 + seconds


@pytest.mark.parametrize(("action", "due"), [("off", 1048.5), ("reboot", 1058.5), ("on", 1043.5),
                                             ("status", 1019.0)])  # fmt: skip
def test_a_delay_is_added_where_the_library_waits_for_it(agent, action, due):
    assert agent_with(agent, **{"--action": action, "--delay": "5"}).host.deadline == due


@pytest.mark.parametrize(("action", "due"), [("off", 1040.5), ("on", 1040.5), ("reboot", 1050.5),
                                             ("status", 1019.0)])  # fmt: skip
def test_what_the_library_waits_after_a_plug_is_taken_off(agent, action, due):
    made = agent_with(agent, **{"--action": action, "--power-wait": "3", "--plugs": ["a", "b"]})
    assert made.host.deadline == due


# -- the log


def filtered(agent, message, *arguments):
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, message, arguments, None)
    assert agent.clean(record)
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
