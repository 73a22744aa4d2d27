"""Requests to stop are noted, end what leaves nothing to save, and are known to all that ask."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from seqrl.cli.interruption import SIGNALS, Interruption
from seqrl.training.stopping import Preempted


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_once_and_the_next_ends_the_process(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption() as asked:
        assert not asked()
        signal.raise_signal(number)
        assert asked()
        assert asked.signals == {number}
        assert signal.getsignal(number) is signal.SIG_DFL
        others = [signal.getsignal(other) for other in SIGNALS if other != number]
        assert others == [asked._note] * len(others)
    assert signal.getsignal(number) is before


def test_blocks_in_each_other_know_the_same() -> None:
    with Interruption() as outer:
        with Interruption() as inner:
            signal.raise_signal(signal.SIGTERM)
            assert inner()
            assert outer()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with Interruption() as later:
            assert later.signals == {signal.SIGTERM}
    with Interruption() as another:
        assert not another()


def test_work_without_anything_to_save_ends_where_it_is() -> None:
    done = []

    def work(asked: Interruption) -> None:
        with asked.at_once():
            done.append("begun")
            signal.raise_signal(signal.SIGINT)
            done.append("ended")

    with Interruption() as outer, Interruption() as asked:
        for each in (asked, outer):
            with pytest.raises(Preempted):
                work(each)
        signal.raise_signal(signal.SIGUSR1)  # outside of such work: noted only
        assert asked.signals == {signal.SIGINT, signal.SIGUSR1}
    assert done == ["begun"]


def test_another_kind_of_signal_does_not_break_off_the_cleaning_up() -> None:
    done = []

    def work(asked: Interruption) -> None:
        with asked.at_once():
            try:
                signal.raise_signal(signal.SIGUSR1)
            finally:
                signal.raise_signal(signal.SIGTERM)
                done.append("cleaned up")

    with Interruption() as asked:
        with pytest.raises(Preempted):
            work(asked)
        assert asked.signals == {signal.SIGUSR1, signal.SIGTERM}
        signal.raise_signal(signal.SIGINT)  # after the block: noted only
    assert done == ["cleaned up"]


LONG = """
import hashlib
from seqrl.cli.interruption import Interruption

with Interruption():
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 300_000_000)  # minutes, none of them Python's
"""


def test_a_second_signal_ends_a_long_call_of_a_library() -> None:
    process = subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    time.sleep(1)  # and the call is
    for number in (signal.SIGTERM, signal.SIGUSR1):
        process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=10) == 128 + signal.SIGUSR1
    process.stdout.close()


def test_no_handler_of_errors_takes_a_stop_for_one() -> None:
    def guarded() -> None:
        try:
            raise Preempted
        except Exception:
            pytest.fail("it is no error")

    with pytest.raises(Preempted):
        guarded()
