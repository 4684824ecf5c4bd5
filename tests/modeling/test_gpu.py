"""What a GPU computes is what a CPU computes; skipped where there is none."""

import copy

import pytest
import torch

from flexnas_bench import load_space
from flexnas_bench.modeling import FlexiBertForMaskedLM
from tests.modeling.conftest import initialised, small_config
from tests.modeling.test_model import ALL

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.filterwarnings("ignore"),  # compilers warn of themselves
]
CARDS = [ALL, *(card for name in ("g1", "g2", "g3") for card in load_space(name).sample(2, seed=7))]


def losses(model, ids, mask, mode="eager"):
    """Logits at tokens, and derivatives of the loss."""
    run = torch.compile(model) if mode == "compiled" else model
    found = run(ids, mask, labels=ids)
    found.loss.backward()
    return found.logits[mask.bool()].detach().cpu(), [value.grad.cpu() for value in model.parameters()]


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.hash[:6])
def test_a_gpu_gives_what_a_cpu_gives(padded, card, masked, mode):
    """In float64, so that no difference is of digits."""
    torch.compiler.reset()
    ids, mask = padded
    mask = mask if masked else torch.ones_like(mask)
    model = initialised(FlexiBertForMaskedLM, small_config(card))
    there = copy.deepcopy(model).cuda()
    found = losses(there, ids.cuda(), mask.cuda(), mode)
    torch.testing.assert_close(found, losses(model, ids, mask), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.hash[:6])
def test_bfloat16_is_the_same_but_for_digits(padded, card, mode):
    torch.compiler.reset()
    ids, mask = (x.cuda() for x in padded)
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(small_config(card)).eval().cuda()
    expected, _ = losses(model, ids, mask)
    model.zero_grad()
    with torch.autocast("cuda", torch.bfloat16):
        found, slopes = losses(model, ids, mask, mode)
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.1)
    assert all(slope.isfinite().all() for slope in slopes)
