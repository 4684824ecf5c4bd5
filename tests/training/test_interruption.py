import signal
import threading

import pytest

from flexnas_bench.training.interruption import postponed


def interrupted(numbers, reached):
    """Is told of signals, one after the other, and then comes to a good moment."""
    with postponed() as interruption:
        interruption.give_way()  # to nothing
        for i, number in enumerate(numbers):
            signal.raise_signal(number)
            reached.append(i)
        interruption.give_way()
        reached.append("too far")


CTRL_C, KILL = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize(
    ("numbers", "kind", "noted"),
    [
        ([CTRL_C], KeyboardInterrupt, 1),
        ([KILL], SystemExit, 1),
        ([CTRL_C, CTRL_C], KeyboardInterrupt, 1),
        ([KILL, CTRL_C], SystemExit, 1),
        ([KILL, KILL], SystemExit, 2),  # of its parent, and of who ends both
    ],
)
def test_the_first_waits_for_a_good_moment_and_ctrl_c_after_it_does_not(numbers, kind, noted):
    reached, before = [], [signal.getsignal(number) for number in (CTRL_C, KILL)]
    with pytest.raises(kind) as error:
        interrupted(numbers, reached)
    assert reached == list(range(noted))
    assert kind is not SystemExit or error.value.code == 143
    assert [signal.getsignal(number) for number in (CTRL_C, KILL)] == before


def test_other_threads_are_left_alone():
    before, during = signal.getsignal(signal.SIGINT), []

    def work():
        with postponed() as interruption:
            during.append(signal.getsignal(signal.SIGINT))
            interruption.give_way()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]
