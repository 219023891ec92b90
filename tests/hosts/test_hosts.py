"""Hosts vanish inside transactions and links are cut: nothing lost, nothing silently twice.

The tests of one service follow one another on its hosts; each brings a victim of its own. Messages
wait no longer than the fault lasts for those who need what is broken, and 30 s.
"""

from __future__ import annotations

import random

import pytest

from tests.functional.installation import wait_until
from tests.hosts.conftest import Service
from tests.hosts.lab import Host, needs_hosts
from tests.hosts.traffic import Traffic

pytestmark = [needs_hosts, pytest.mark.processes]
FREE_WITHIN_S = 30.0
SEED = 14
INSIDE = {
    "the lease": r"SET owner = .* fence = b\.fence \+ 1",
    "the journal": r"SET journal = v\.journal",
    "the record": r"UPDATE notifications_notificationmessage m SET",
    "the provider's row": r"notifications_providerflow.*FOR UPDATE",
    "the statistics": r"INSERT INTO notifications_templateusage",
}
"""Kinds of a worker's transactions -> the statement after which its host vanishes. A lease is one
statement: its answer is all that the host takes along."""
ACCEPTING = r"INSERT INTO notifications_notificationmessage"


def hold(service: Service, traffic: Traffic, *, beyond_s: float = 0.0) -> None:
    """Judges all that was sent. beyond_s: how long no process could have delivered."""
    found = service.settled(traffic)
    assert traffic.refusals == []
    assert found.lost == []
    assert found.silently_twice == []
    assert found.unasked == []
    assert found.longest(critical=True) <= FREE_WITHIN_S + beyond_s
    assert found.longest(critical=False) <= FREE_WITHIN_S + beyond_s


def stands_still(service: Service, host: Host) -> None:
    """Waits until a process of the host stopped inside its transaction."""
    wait_until(service.mark(host).exists, 90)


def mails_go_on(service: Service) -> None:
    before = len(service.arrivals.at)
    wait_until(lambda: len(service.arrivals.at) > before + 20, FREE_WITHIN_S)


def test_a_host_vanishes_inside_a_transaction_and_then_the_database_is_cut_off(
    service: Service,
) -> None:
    """One of each kind of fault, the kind of transaction drawn by a seed."""
    kind = random.Random(SEED).choice(list(INSIDE))
    with service.traffic() as traffic:
        victim = service.new_worker(stop_at=INSIDE[kind])
        stands_still(service, victim)
        victim.vanish()
        mails_go_on(service)
        with service.lab.db.cut_off(5):
            wait_until(lambda: "database" in str(service.health()), 5)
        mails_go_on(service)
        hold(service, traffic, beyond_s=5)


class TestVanishing:
    pytestmark = pytest.mark.proof

    @pytest.mark.parametrize("kind", INSIDE)
    def test_a_worker_host_vanishes_inside(self, service: Service, kind: str) -> None:
        with service.traffic() as traffic:
            victim = service.new_worker(stop_at=INSIDE[kind])
            stands_still(service, victim)
            victim.vanish()
            mails_go_on(service)
            hold(service, traffic)

    def test_a_web_host_vanishes_while_it_takes_something_in(self, service: Service) -> None:
        """Its clients go to another web host, with the same keys."""
        victim = service.new_web(stop_at=ACCEPTING)
        wait_until(lambda: service.is_ready(victim), 90)
        with service.traffic(service.url_of(victim)) as traffic:
            stands_still(service, victim)
            victim.vanish()
            traffic.url = service.url
            mails_go_on(service)
            hold(service, traffic)

    def test_the_last_worker_vanishes_and_health_says_so(self, service: Service) -> None:
        with service.traffic() as traffic:
            mails_go_on(service)
            service.worker.vanish()
            wait_until(lambda: "workers" in str(service.health()), FREE_WITHIN_S)
            service.worker = service.new_worker()
            mails_go_on(service)
            hold(service, traffic, beyond_s=60)


SECONDS = pytest.mark.parametrize("seconds", [5, 20, 60])


class TestCuts:
    pytestmark = pytest.mark.proof

    @SECONDS
    def test_the_database_is_cut_off(self, service: Service, seconds: int) -> None:
        with service.traffic() as traffic:
            mails_go_on(service)
            with service.lab.db.cut_off(seconds):
                wait_until(lambda: "database" in str(service.health()), 5)
            mails_go_on(service)
            hold(service, traffic, beyond_s=seconds)

    @SECONDS
    def test_redis_is_cut_off(self, service: Service, seconds: int) -> None:
        with service.traffic() as traffic:
            mails_go_on(service)
            with service.lab.redis.cut_off(seconds):
                wait_until(lambda: "redis" in str(service.health()).lower(), 5)
                mails_go_on(service)
            hold(service, traffic)

    @SECONDS
    def test_one_of_two_workers_is_cut_off(self, service: Service, seconds: int) -> None:
        with service.traffic() as traffic:
            other = service.new_worker()
            mails_go_on(service)
            with other.cut_off(seconds):
                mails_go_on(service)
            mails_go_on(service)
            hold(service, traffic)
        other.kill()

    @SECONDS
    def test_the_web_tier_is_cut_off(self, service: Service, seconds: int) -> None:
        with service.traffic() as traffic:
            mails_go_on(service)
            with service.web.cut_off(seconds):
                pass
            mails_go_on(service)
            hold(service, traffic)

    @SECONDS
    @pytest.mark.parametrize("who", ["worker", "web"])
    def test_the_databases_answers_are_lost(self, service: Service, who: str, seconds: int) -> None:
        """Requests take effect without a response: commits are in doubt."""
        host = service.worker if who == "worker" else service.web
        with service.traffic() as traffic:
            mails_go_on(service)
            with service.lab.db.unheard_by(host, seconds):
                if who == "web":
                    wait_until(lambda: "database" in str(service.health()), 5)
            mails_go_on(service)
            hold(service, traffic, beyond_s=seconds)
