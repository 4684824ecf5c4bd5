import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench.searching.cluster import Cluster


@given(workers=st.integers(1, 5), seconds=st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_it_keeps_all_workers_busy_as_a_brute_force_does(workers, seconds):
    cluster, ends, order = Cluster(workers), {}, []
    for step, cost in enumerate(seconds):
        while not cluster.free:
            order.append(cluster.wait()["step"])
        ends[step] = cluster.start({"step": step}, cost)
    while cluster.busy:
        order.append(cluster.wait()["step"])
    free_at = np.zeros(workers)  # every card goes to the worker that is free first
    for step, cost in enumerate(seconds):
        worker = free_at.argmin()
        free_at[worker] += cost
        assert ends[step] == free_at[worker]
    assert order == sorted(ends, key=lambda step: (ends[step], step))
    assert cluster.now == free_at.max()
