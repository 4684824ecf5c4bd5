"""What a training ran on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import torch

from flexnas_bench.errors import OptionError, first_line, shown

_PACKAGES = ("flexnas-bench", "torch", "transformers", "tokenizers", "numpy")


def packages() -> str:
    """Versions of what a score depends on, such as `flexnas-bench 0.1, torch 2.11.0, ...`."""
    return ", ".join([*(f"{name} {version(name)}" for name in _PACKAGES), f"python {platform.python_version()}"])


def hardware(device: torch.device) -> str:
    """The GPU's name, or the CPU's and how many of its cores were used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} cores of {_cpu()}" if device.type == "cpu" else device.type


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next((name for name in names if name), platform.processor() or platform.machine())


def pick_device(name: str) -> torch.device:
    """A device by name; `auto` is a GPU if there is one. Raises `OptionError` for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
    except Exception as error:  # whatever drivers raise
        raise OptionError(f"device {shown(name)}: {first_line(error)}") from None
    return torch.device(name)
