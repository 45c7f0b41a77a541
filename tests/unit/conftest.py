"""A host of which only the answers matter; and how much hypothesis tries."""

import time

import pytest
from hypothesis import HealthCheck, settings

# enough to find what it has found before, on a busy machine too
settings.register_profile(
    "unit", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")


@pytest.fixture
def host_that_answers(agent):
    """host_that_answers(answer): an EsxiHost whose session has that answer to every command."""

    def host(answer):
        class Session:
            def __init__(self, _login):
                pass

            def open(self, _bound):
                pass

            def ask(self, commands, _bound):
                return [answer] * len(commands)

            def close(self):
                pass

        login = agent.Login([], "root", "192.0.2.10", "22", "secret", None, None)
        limits = {"login": 1, "shell": 1, "power": 1}
        return agent.EsxiHost(login, limits, time.monotonic() + 60, True, Session, time)

    return host
