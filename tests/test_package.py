import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import flexnas_bench

ROOT = Path(__file__).parents[1]


def test_every_public_name_can_be_imported():
    for name in flexnas_bench.__all__:
        assert getattr(flexnas_bench, name).__name__ == name
    assert set(flexnas_bench.__all__) <= set(dir(flexnas_bench))
    with pytest.raises(AttributeError, match="no attribute"):
        _ = flexnas_bench.nothing


def test_type_checkers_see_the_same_names():
    tree = ast.parse(inspect.getsource(flexnas_bench))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == flexnas_bench._HOME


def test_every_folder_with_code_is_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        p.parent.relative_to(ROOT).as_posix().replace("/", ".") for p in ROOT.glob("flexnas_bench/**/__init__.py")
    }
    assert folders | {"flexnas_bench.data", "flexnas_baselines"} == set(settings["packages"])


def test_nothing_is_unpickled():
    for path in [*ROOT.glob("flexnas_bench/**/*.py"), *ROOT.glob("baselines/*.py")]:
        text = path.read_text()
        assert "pickle" not in text
        assert "torch.load" not in text or "weights_only=True" in text


def test_commands_and_optimizers_begin_quickly():
    """What only programs, loops and networks need is imported by them."""
    program = (
        "import sys, flexnas_bench.cli.app, flexnas_bench.optimizers.base; "
        "print(sorted({'torch', 'pandas', 'networkx', 'scipy', 'matplotlib', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
