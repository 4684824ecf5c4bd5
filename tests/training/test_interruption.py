import signal
import threading

import pytest

from flexnas_bench.training.interruption import postponed


def interrupted(number, reached, times):
    """Is told of a signal, several times, and then comes to a good moment."""
    with postponed() as interruption:
        interruption.give_way()  # to nothing
        for i in range(times):
            signal.raise_signal(number)
            reached.append(i)
        interruption.give_way()
        reached.append("too far")


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
@pytest.mark.parametrize("times", [1, 2])
def test_the_first_waits_for_a_good_moment_and_the_second_does_not(number, kind, times):
    reached, before = [], signal.getsignal(number)
    with pytest.raises(kind) as error:
        interrupted(number, reached, times)
    assert reached == [0]
    assert number != signal.SIGTERM or error.value.code == 143
    assert signal.getsignal(number) is before


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
