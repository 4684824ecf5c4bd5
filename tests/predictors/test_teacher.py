import math

import torch

from flexnas_bench.predictors.seeding import reproducible
from flexnas_bench.predictors.student import Student
from flexnas_bench.predictors.teacher import MCDropout


def test_spread_of_one_hidden_layer_is_the_closed_form():
    # With one hidden layer a sample is b + sum_j w_j h_j m_j / (1 - p), m_j Bernoulli(1 - p):
    # its variance is p / (1 - p) sum_j (w_j h_j)^2.
    with reproducible(1):
        teacher, x = MCDropout(3, hidden=(16,), dropout=0.4), torch.randn(5, 3)
        spread = teacher.spread(x, samples=100_000)
    features = teacher.first(x)
    exact = math.sqrt(0.4 / 0.6) * (features * teacher.rest[-1].weight).square().sum(dim=-1).sqrt()
    torch.testing.assert_close(spread, exact.detach(), rtol=0.02, atol=0)


def test_samples_share_the_first_layer_and_nothing_else():
    with reproducible(2):
        teacher, x = MCDropout(3), torch.randn(4, 3)
        samples = teacher.sample(x, 50)
        assert samples.shape == (50, 4)
        assert len(samples[:, 0].unique()) > 25
        teacher.eval()
        assert (teacher.sample(x, 3) == teacher(x)).all()


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
