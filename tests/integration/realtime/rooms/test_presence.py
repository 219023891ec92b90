"""Who is connected: rows by a lease of the process, and what rooms get of it."""

from __future__ import annotations

import random
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connections

from directory.models import User
from notifications.features.rooms import presence as rows_of
from notifications.features.rooms.names import Room
from notifications.features.rooms.presence import (
    LEASE_S,
    LeaseLost,
    begin_lease,
    end_expired,
    is_online,
    live_processes,
    note_last_seen,
    online_in,
    renew_lease,
    write_people,
)
from notifications.features.rooms.service import online_now
from notifications.infra import clock
from notifications.models import LastSeen, Presence, WebProcess
from notifications.realtime.rooms import loop, presence
from tests.integration.factories import make_user
from tests.integration.realtime.conftest import Live
from tests.integration.realtime.rooms.conftest import CourseOf, join, opened
from tests.integration.statements import Statements

pytestmark = pytest.mark.django_db(transaction=True)


def room_of(name: str) -> Room:
    kind, _, key = name.partition(":")
    return Room(kind, int(key))


def states() -> list[tuple[int, bool]]:
    return sorted(Presence.objects.values_list("user_id", "is_active"))


def people_in(frame: dict[str, Any]) -> list[tuple[int, bool]]:
    return [(each["user_id"], each["active"]) for each in frame["data"]["people"]]


def test_a_person_is_connected_then_active_then_gone(live: Live, person: User):
    client = opened(live, person)
    live.wait_until(lambda: states() == [(person.pk, False)])

    client.send("active", visible=True)
    live.wait_until(lambda: states() == [(person.pk, True)])
    second = opened(live, person)
    client.send("active", data={"visible": False})
    live.wait_until(lambda: states() == [(person.pk, False)])
    client.socket.close()
    live.wait_until(lambda: live.realtime.center.hub.count == 1)
    assert is_online(person.pk)

    second.socket.close()
    live.wait_until(lambda: not WebProcess.objects.exists())
    assert (states(), is_online(person.pk)) == ([], False)
    assert LastSeen.objects.filter(user=person).exists()


def test_active_without_a_flag_is_an_error(live: Live, person: User):
    client = opened(live, person)
    client.send("active", visible="yes")
    assert client.next_of("error")["data"]["code"] == "invalid"


def test_members_learn_who_comes_changes_and_goes(live: Live, person: User, course_of: CourseOf):
    other, stranger = make_user(), make_user()
    room = course_of(person, other)
    client = opened(live, person)
    live.wait_until(lambda: states() == [(person.pk, False)])
    first = join(client, room)
    opened(live, stranger)

    theirs = opened(live, other)
    came = client.next_of("presence")
    theirs.send("active", visible=True)
    changed = client.next_of("presence")
    theirs.socket.close()
    left = client.next_of("presence")

    assert (people_in(first), first["data"]["is_complete"]) == ([(person.pk, False)], True)
    assert (people_in(came), came["data"]["online"]) == ([(other.pk, False)], 2)
    assert people_in(changed) == [(other.pk, True)]
    assert (left["data"]["left"], left["data"]["online"]) == ([other.pk], 1)
    assert not left["data"]["is_complete"]


def test_people_of_other_processes_count_until_their_lease_ends(
    live: Live, person: User, course_of: CourseOf
):
    """As after SIGKILL: no process renews the lease or removes the rows."""
    other = make_user()
    room = course_of(person, other)
    client = opened(live, person)
    live.wait_until(lambda: states() == [(person.pk, False)])
    process = begin_lease("another process")
    write_people(process, {other.pk: False})

    first = join(client, room)
    rows = WebProcess.objects.filter(pk=process)
    rows.update(lease_until=clock.now() - timedelta(seconds=1))
    left = client.next_of("presence")

    assert people_in(first) == [(person.pk, False), (other.pk, False)]
    assert left["data"]["left"] == [other.pk]


def test_a_lease_ends_by_time_and_is_renewed():
    now = clock.now()
    person, other = make_user(), make_user()
    with clock.reading(lambda: now):
        dead, alive = begin_lease("dead"), begin_lease("alive")
        write_people(dead, {person.pk: False})
        write_people(alive, {other.pk: False})
    with clock.reading(lambda: now + timedelta(seconds=LEASE_S - 1)):
        assert is_online(person.pk)
        renew_lease(alive)
    with clock.reading(lambda: now + timedelta(seconds=LEASE_S + 1)):
        assert (is_online(person.pk), is_online(other.pk)) == (False, True)
        assert live_processes() == {alive}
        end_expired()
    assert states() == [(other.pk, False)]
    with pytest.raises(LeaseLost):
        renew_lease(dead)
    with pytest.raises(LeaseLost):
        write_people(dead, {person.pk: True})


def test_a_process_whose_lease_was_removed_writes_its_people_again(live: Live, person: User):
    client = opened(live, person)
    live.wait_until(lambda: states() == [(person.pk, False)])
    first = WebProcess.objects.get().pk
    WebProcess.objects.all().delete()

    client.send("active", visible=True)

    live.wait_until(lambda: states() == [(person.pk, True)])
    assert WebProcess.objects.get().pk != first


def test_nothing_is_written_while_nothing_changes(
    live: Live, person: User, monkeypatch: pytest.MonkeyPatch
):
    worked: list[bool] = []
    run = presence.PresenceRows.run
    monkeypatch.setattr(
        presence.PresenceRows, "run", lambda rows, plan: worked.append(True) or run(rows, plan)
    )
    opened(live, person)
    live.wait_until(lambda: states() == [(person.pk, False)])
    rounds: list[bool] = []
    catch_up = live.realtime.center.rooms.table.catch_up
    monkeypatch.setattr(
        live.realtime.center.rooms.table, "catch_up", lambda: rounds.append(True) or catch_up()
    )
    live.wait_until(lambda: len(rounds) > 20)

    assert len(worked) == 1
    monkeypatch.setattr(loop, "RENEW_S", 0.0)
    live.wait_until(lambda: len(worked) > 3)


def test_last_seen_is_written_once_a_minute():
    now = clock.now()
    people = [make_user() for _ in range(2)]
    keys = [each.pk for each in people]
    for seconds in (0, 30, 59, 61):
        with clock.reading(lambda at=now + timedelta(seconds=seconds): at):
            note_last_seen(keys)
        expected = now + timedelta(seconds=61 if seconds > 60 else 0)
        assert set(LastSeen.objects.values_list("at", flat=True)) == {expected}
    note_last_seen([1 << 40])
    assert LastSeen.objects.count() == 2


def test_an_erased_person_gets_no_row():
    process = begin_lease("process")
    write_people(process, {1 << 40: True})
    assert states() == []


def test_many_rooms_are_read_by_one_statement(course_of: CourseOf):
    people = [make_user() for _ in range(6)]
    rooms = [room_of(course_of(*people[number : number + 2])) for number in range(5)]
    process = begin_lease("process")
    write_people(process, {each.pk: False for each in people[:4]})

    with Statements() as made:
        found = online_in(rooms, processes=[process])
    some = online_in(rooms, processes=[process], user_ids=[people[0].pk, people[1].pk])

    assert len(made) == 1
    assert [len(found[room]) for room in rooms] == [2, 2, 2, 1, 0]
    assert [len(some[room]) for room in rooms] == [2, 1, 0, 0, 0]
    assert online_in(rooms, processes=[]) == {room: {} for room in rooms}


def test_processes_write_and_end_beside_one_another():
    """The rows of each process are its own: no lock is waited for in a circle."""
    people = [make_user().pk for _ in range(30)]
    faults: list[BaseException] = []
    barrier = Barrier(4)

    def work(number: int) -> None:
        try:
            process = begin_lease(f"process {number}")
            barrier.wait(30)
            chance = random.Random(number)
            for _ in range(10):
                some = chance.sample(people, 10)
                write_people(process, {each: chance.choice((True, False, None)) for each in some})
                note_last_seen(some)
                end_expired()
            write_people(process, dict.fromkeys(people, number == 1))
        except BaseException as error:
            faults.append(error)
        finally:
            connections.close_all()

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)

    assert faults == []
    assert Presence.objects.count() == 4 * len(people)
    assert online_now(Room("user", people[0])) == {people[0]: True}


def test_a_failed_write_is_repeated(live: Live, person: User, monkeypatch: pytest.MonkeyPatch):
    write, failures = presence.write_people, [OSError("away")] * 3

    def fail(*given: Any) -> None:
        if failures:
            raise failures.pop()
        write(*given)

    monkeypatch.setattr(presence, "write_people", fail)
    opened(live, person)
    live.wait_until(lambda: states() == [(person.pk, False)])
    assert failures == []
    assert rows_of.is_online(person.pk)
