"""Which processes are known to have ended, and which may live somewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from notifications.infra.process.identity import has_ended, own_name

PRINT_NAME = "from notifications.infra.process.identity import own_name; print(own_name('test'))"


def changed(name: str, part: int, value: str) -> str:
    parts = name.split("/")
    parts[part] = value
    return "/".join(parts)


def test_this_process_has_not_ended():
    assert not has_ended(own_name())


def test_names_fit_their_column_and_differ():
    names = {own_name("broadcasting-at-length") for _ in range(20)}
    assert len(names) == 20
    assert max(map(len, names)) <= 80


def test_a_process_that_ended_is_known_to_have():
    done = subprocess.run(
        [sys.executable, "-c", PRINT_NAME], capture_output=True, text=True, check=True
    )
    assert has_ended(done.stdout.strip())


def test_a_zombie_has_ended_although_its_parent_has_not_asked_for_it():
    child = subprocess.Popen([sys.executable, "-c", PRINT_NAME], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    name = child.stdout.read().strip()  # at its end the child has closed it: it is ending
    child.stdout.close()
    for _ in range(2000):
        if has_ended(name):
            break
    else:
        child.wait()
    assert has_ended(name)
    child.wait()


def test_a_pid_that_is_used_again_is_another_process():
    assert has_ended(changed(own_name(), 4, "1"))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["host", "boot", "namespace"])
def test_nothing_is_known_of_processes_elsewhere(part):
    elsewhere = changed(changed(own_name(), 4, "1"), part, "other")
    assert not has_ended(elsewhere)


@pytest.mark.parametrize("name", ["", "w", "serve:1:abc", "a/b/c/x/1/r", "a/b/c/1//r"])
def test_names_of_other_forms_are_never_taken_for_ended(name):
    assert not has_ended(name)
