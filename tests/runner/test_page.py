"""The page between a supervisor and a worker."""

from __future__ import annotations

import os

from batchwasm.runner.page import COLLECTING, COMPILING, GUEST, IDLE, STAGING, Page, PageView


def test_a_new_page_says_that_nothing_runs() -> None:
    page = Page()
    assert page.read() == PageView(batch=0, position=0, phase=IDLE, started_ns=0, reported=0)
    page.close()


def test_the_page_follows_a_task_through_its_phases() -> None:
    page = Page()
    page.begin(2**53)
    page.compile(7)
    assert page.read() == PageView(2**53, 0, COMPILING, 7, 0)
    page.stage(4)
    assert page.read() == PageView(2**53, 4, STAGING, 0, 0)
    page.start(123)
    assert page.read() == PageView(2**53, 4, GUEST, 123, 0)
    page.collect()
    assert page.read() == PageView(2**53, 4, COLLECTING, 0, 0)
    page.report(5)
    page.rest()
    assert page.read() == PageView(2**53, 4, IDLE, 0, 5)
    page.close()


def test_a_new_batch_starts_from_nothing() -> None:
    page = Page()
    page.begin(1)
    page.stage(3)
    page.start(99)
    page.report(3)
    page.begin(2)
    assert page.read() == PageView(2, 0, IDLE, 0, 0)
    page.close()


def test_a_recall_is_for_one_batch_alone() -> None:
    page = Page()
    page.recall(7)
    assert page.recalled(7)
    assert not page.recalled(8)
    page.close()


def test_what_a_child_writes_the_parent_reads_even_after_its_death() -> None:
    page = Page()
    child = os.fork()
    if child == 0:
        page.begin(11)
        page.stage(2)
        page.start(5)
        os._exit(0)
    os.waitpid(child, 0)
    assert page.read() == PageView(11, 2, GUEST, 5, 0)
    page.close()
