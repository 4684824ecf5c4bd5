import math

import torch

from flexnas_bench.predictors.seeding import reproducible
from flexnas_bench.predictors.student import Student
from flexnas_bench.predictors.teacher import MCDropout


def test_spread_of_one_hidden_layer_is_the_closed_form():
    # With one hidden layer a sample is b + sum_j w_j h_j m_j / (1 - p), m_j Bernoulli(1 - p):
    # its variance is p / (1 - p) sum_j (w_j h_j)^2.
    with reproducible(1):
        teacher, x = MCDropout(3, hidden=(16,), rate=0.4), torch.randn(5, 3)
        spread = teacher.spread(x, samples=100_000)
    first, last = teacher.layers
    exact = math.sqrt(0.4 / 0.6) * (first(x).relu() * last.weight).square().sum(dim=-1).sqrt()
    torch.testing.assert_close(spread, exact.detach(), rtol=0.02, atol=0)


def test_spread_is_that_of_forward_passes():
    with reproducible(2):
        teacher, x = MCDropout(3), torch.randn(4, 3)
        passes = teacher(x.repeat(100_000, 1, 1)).std(dim=0)
        torch.testing.assert_close(teacher.spread(x, 100_000), passes.detach(), rtol=0.02, atol=0)


def test_a_sample_is_one_function_for_all_points():
    with reproducible(3):
        spread = MCDropout(3).spread(torch.ones(50, 3), 2)  # of two samples it depends on the masks a lot
    assert len(spread.unique()) == 1
    assert spread[0] > 0


def test_nothing_is_dropped_in_a_prediction():
    teacher, x = MCDropout(3).eval(), torch.randn(4, 3)
    assert torch.equal(teacher(x), teacher(x))


def test_spread_leaves_the_mode_alone():
    teacher = MCDropout(2).eval()
    assert (teacher.spread(torch.randn(3, 2), 30) > 0).all()
    assert not teacher.training


def test_the_student_is_positive_and_twice_differentiable():
    with reproducible(3):
        student = Student(3, hidden=(5, 4)).double()
        x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert (student(x) > 0).all()
    assert torch.autograd.gradgradcheck(student, (x,))


def test_reproducible_restores_what_the_caller_had():
    torch.manual_seed(7)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(7)
    with reproducible(1):
        first = torch.rand(3)
        assert torch.get_num_threads() == 1
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    with reproducible(1):
        assert torch.equal(torch.rand(3), first)
