"""How fast the encoders are, beside those of transformers of the same shape.

    python benchmarks/encoder_time.py                    # one core: BERT-Mini, FNet-Mini, ConvBERT-Mini
    python benchmarks/encoder_time.py --device cuda --peak-tflops 989    # bfloat16, eager and compiled, large too

Forward and backward in training (dropout 0.1), and forward alone, of encoders without a head and with 50,265 words;
1,024 tokens a batch on a CPU, where ours and the peer take turns. What is printed are medians and their ratios.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel, ConvBertConfig, ConvBertModel, FNetConfig, FNetModel, PreTrainedModel

from flexnas_bench.cost import VOCABULARY
from flexnas_bench.modeling import FlexiBertConfig, FlexiBertModel

LENGTHS, REPEATS = (32, 128, 512), 9
#: Our cards, and who has the same layers, width, heads and feed-forward width.
PAIRS: dict[str, str] = {"bert-mini": "BertModel", "fnet-mini": "FNetModel", "convbert-mini": "ConvBertModel"}
#: On a GPU: who a card stands beside (FNetModel does not run in bfloat16), and sentences of 128 tokens in a batch.
LARGE = {
    "bert-mini": ("bert-mini", 512),
    "fnet-mini": ("bert-mini", 512),
    "convbert-mini": ("convbert-mini", 512),
    "flexibert-mini": ("bert-mini", 512),
    "flexibert-large": ("bert-large", 64),
}


def peer_of(name: str) -> PreTrainedModel:
    """The model of transformers that is named, its defaults but for the shape."""
    family, _, shape = name.partition("-")
    layers, hidden = {"mini": (4, 256), "large": (24, 1024)}[shape]
    common: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": 4 * hidden,
    }
    if family == "bert":
        return BertModel(BertConfig(num_attention_heads=hidden // 64, **common), add_pooling_layer=False)
    if family == "fnet":
        return FNetModel(FNetConfig(**common), add_pooling_layer=False)
    return ConvBertModel(ConvBertConfig(num_attention_heads=hidden // 64, embedding_size=hidden, **common))


def train(model: Callable[..., Any], ids: torch.Tensor, cast: Any) -> None:
    """Forward and backward."""
    with cast():
        loss = model(ids).last_hidden_state.float().sum()
    loss.backward()


def infer(model: Callable[..., Any], ids: torch.Tensor, cast: Any) -> None:
    """Forward alone."""
    with torch.no_grad(), cast():
        model(ids)


def alternate(works: Sequence[Callable[[], None]], synchronize: Callable[[], None], repeats: int) -> list[list[float]]:
    """Seconds of all works, taking turns, after a warm-up."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(-2, repeats):
        for work, found in zip(works, times, strict=True):
            started = time.perf_counter()
            work()
            synchronize()
            if turn >= 0:
                found.append(time.perf_counter() - started)
    return times


def flops(model: PreTrainedModel, ids: torch.Tensor) -> int:
    """FLOPs of one forward pass: those of a card, or of the matrix products of another model."""
    if isinstance(model, FlexiBertModel):
        return int(model.config.model_card.flops(ids.shape[1])) * len(ids)
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")  # whose products can be counted
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(ids)
    return int(counter.get_total_flops())


def on_cpu() -> None:
    """The table for one core."""
    torch.set_num_threads(1)
    print(
        "| card | peer | tokens | ours, tokens/s | peer, tokens/s | ours / peer | forward alone | FLOPs, ours / peer |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name, peer in PAIRS.items():
        mine, theirs = FlexiBertModel(FlexiBertConfig(name)), peer_of(name)
        for n in LENGTHS:
            ids = torch.randint(5, VOCABULARY, (1024 // n, n))
            ratios, rates = [], []
            for step in (train, infer):
                works = []
                for model in (mine, theirs):
                    model.train(step is train)
                    works.append(partial(step, model, ids, nullcontext))
                ours, others = alternate(works, lambda: None, REPEATS)
                rates.append([ids.numel() / statistics.median(times) for times in (ours, others)])
                ratios.append(rates[-1][0] / rates[-1][1])
                mine.zero_grad()
                theirs.zero_grad()
            more = flops(mine, ids) / flops(theirs, ids)
            cells = f"{rates[0][0]:,.0f} | {rates[0][1]:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} | {more:.2f}"
            print(f"| {name} | {peer} | {n} | {cells} |", flush=True)


def on_gpu(device: torch.device, peak: float, cards: list[str]) -> None:
    """The table for a GPU: training in bfloat16 by autocast."""
    print("| card | beside | tokens | mode | tokens/s | MFU | peak memory, GiB | ours / peer |")
    print("|---|---|---:|---|---:|---:|---:|---:|")
    for name, (beside, batch) in ((name, LARGE[name]) for name in cards):
        for n in LENGTHS[1:]:
            ids = torch.randint(5, VOCABULARY, (batch * 128 // n, n), device=device)
            for mode in ("eager", "compiled"):
                makers = (partial(FlexiBertModel, FlexiBertConfig(name)), partial(peer_of, beside))
                (ours, facts), (theirs, others) = (measure(make, ids, mode, peak) for make in makers)
                print(f"| {name} | | {n} | {mode} | {facts} | {theirs / ours:.2f} |")
                print(f"| | {beside} | {n} | {mode} | {others} | |", flush=True)


def measure(make: Callable[[], PreTrainedModel], ids: torch.Tensor, mode: str, peak: float) -> tuple[float, str]:
    """Median seconds of a step of training, and what else is said of it."""
    torch.compiler.reset()
    torch.cuda.reset_peak_memory_stats()
    model = make().train()
    model.to(ids.device)
    runs = torch.compile(model) if mode == "compiled" else model
    cast = partial(torch.autocast, ids.device.type, torch.bfloat16)
    (times,) = alternate([partial(train, runs, ids, cast)], torch.cuda.synchronize, REPEATS)
    seconds = statistics.median(times)
    share = 3 * flops(model, ids) / seconds / (peak * 1e12)  # backward takes twice as many as forward
    memory = torch.cuda.max_memory_allocated() / 2**30
    return seconds, f"{ids.numel() / seconds:,.0f} | {share:.1%} | {memory:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time of the encoders")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="of the GPU in dense bfloat16")
    parser.add_argument("--cards", nargs="+", choices=LARGE, default=list(LARGE), help="on the GPU")
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        on_cpu()
    else:
        on_gpu(torch.device(arguments.device), arguments.peak_tflops, arguments.cards)
