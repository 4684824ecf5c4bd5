import pytest
import torch

from flexnas_bench.optimizers.boshnas.adahessian import adahessian_maximise, hutchinson_diagonal
from flexnas_bench.predictors.seeding import reproducible


def coupled(x):
    """A small function whose Hessian has large entries off its diagonal, one value a row."""
    return (x[:, 0].sin() * x[:, 1]) + x[:, 1].pow(3) * x[:, 2] - 2 * x[:, 0] * x[:, 2].square()


def exact_diagonal(function, x):
    rows = [torch.autograd.functional.hessian(lambda r: function(r[None])[0], row).diagonal() for row in x]
    return torch.stack(rows)


def gradient_of(function, x):
    return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]


def test_the_estimate_converges_to_autograds_exact_diagonal():
    with reproducible(1):
        x = torch.randn(4, 3, dtype=torch.float64)
        many = x.repeat(4_000, 1).requires_grad_()
        draws = hutchinson_diagonal(gradient_of(coupled, many), many).reshape(4_000, 4, 3)
    exact = exact_diagonal(coupled, x)
    error = draws.std(dim=0) / len(draws) ** 0.5
    assert ((draws.mean(dim=0) - exact).abs() <= 5 * error + 1e-9).all()
    assert (draws.std(dim=0) > 0.1).any()  # a single draw is far from exact here


def test_one_draw_is_exact_where_coordinates_do_not_interact():
    x = torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64, requires_grad=True)

    def separable(x):
        return (x.pow(4) + x.sin()).sum(dim=1)

    torch.testing.assert_close(hutchinson_diagonal(gradient_of(separable, x), x), exact_diagonal(separable, x.detach()))


def test_rows_do_not_interact():
    # Separable, so that the draw of z does not matter and a row alone must take the same way as among others.
    def separable(x):
        return (x.sin() - 0.1 * x.square()).sum(dim=1)

    with reproducible(2):
        x = torch.randn(3, 4, dtype=torch.float64)
    settings = {"steps": 30, "learning_rate": 0.1, "tolerance": 0.0}
    alone = torch.cat([adahessian_maximise(separable, row[None], **settings) for row in x])
    torch.testing.assert_close(adahessian_maximise(separable, x, **settings), alone)


def test_the_first_step_on_a_concave_quadratic_is_newtons():
    curvature = torch.tensor([0.5, 2.0, 30.0], dtype=torch.float64)
    top = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    start = torch.tensor([[0.0, 0.0, 0.0], [10.0, 5.0, -4.0]], dtype=torch.float64)
    reached = adahessian_maximise(
        lambda x: -(curvature * (x - top).square()).sum(dim=1), start, steps=1, learning_rate=1.0, epsilon=0.0
    )
    torch.testing.assert_close(reached, top.expand(2, 3))


def test_it_finds_the_top_of_a_badly_scaled_hill_where_plain_gradients_crawl():
    scales = torch.tensor([1.0, 1e-3], dtype=torch.float64)

    def hill(x):
        return -(scales * x.square()).sum(dim=1)

    start = torch.tensor([[5.0, 5.0]], dtype=torch.float64)
    reached = adahessian_maximise(hill, start, steps=400, learning_rate=0.2, epsilon=1e-9, tolerance=0.0)
    assert reached.abs().max() < 0.05
    plain = start.clone()
    for _ in range(400):
        plain = plain - 0.2 * 2 * scales * plain
    assert plain.abs().max() > 4


@pytest.mark.parametrize("steps", [1, 30])
def test_points_stay_in_the_box(steps):
    low, high = torch.tensor([-1.0, 0.0, -0.5]), torch.tensor([1.0, 0.5, 2.0])
    with reproducible(4):
        x = adahessian_maximise(coupled, torch.zeros(8, 3), steps=steps, learning_rate=5.0, low=low, high=high)
    assert (x >= low).all()
    assert (x <= high).all()
    assert not x.requires_grad


def test_without_second_order_it_is_torchs_adam():
    with reproducible(3):
        start = torch.randn(5, 3, dtype=torch.float64)
    x = torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([x], 0.1, betas=(0.9, 0.999), eps=1e-4)
    for _ in range(20):
        adam.zero_grad()
        (-coupled(x).sum()).backward()
        adam.step()
    settings = {"steps": 20, "learning_rate": 0.1, "tolerance": 0.0}
    plain = adahessian_maximise(coupled, start, second_order=False, **settings)
    torch.testing.assert_close(plain, x.detach())
    assert (adahessian_maximise(coupled, start, **settings) - plain).abs().max() > 0.1


def test_it_stops_when_nothing_moves():
    calls = 0

    def flat(x):
        nonlocal calls
        calls += 1
        return -1e-12 * x.square().sum(dim=1)

    adahessian_maximise(flat, torch.ones(1, 2), steps=100, learning_rate=0.1)
    assert calls == 1
