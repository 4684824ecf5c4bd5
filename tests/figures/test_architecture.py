import re

import pytest

from flexnas_bench import ModelCard, OptionError
from flexnas_bench.figures.architecture import draw_architecture
from flexnas_bench.figures.layout import lay_out
from flexnas_bench.graph import BlockGraph
from flexnas_bench.named import NAMED_CARDS


@pytest.mark.parametrize("name", NAMED_CARDS)
def test_every_node_has_a_place_of_its_own(name):
    card = ModelCard.named(name)
    drawing, graph = lay_out(card.layers), BlockGraph.of(card.layers)
    assert len(drawing.nodes) == len(graph.labels)
    assert len({(node.x, node.y) for node in drawing.nodes}) == len(drawing.nodes)
    assert len(drawing.frames) == card.num_layers
    for (u, _), corners in zip(graph.edges, drawing.edges, strict=True):
        assert corners[0] == (drawing.nodes[u].x, drawing.nodes[u].y)


def test_the_picture_says_what_is_in_the_graph(tmp_path):
    draw_architecture(ModelCard.named("flexibert-mini"), tmp_path / "mini.svg")
    text = (tmp_path / "mini.svg").read_text()
    assert len(re.findall(r">SA-SDP<", text)) == 4
    assert len(re.findall(r">LT-DCT<", text)) == 8
    assert len(re.findall(r"feed-forward-512<", text)) == 6
    assert len(re.findall(r"add &amp; norm<", text)) == 8
    assert text.count("projection: identity") == 3
    assert text.count("projection: h256 to h128") == 1
    assert text.count(">input<") == text.count(">output<") == 1


def test_the_same_card_gives_the_same_svg(tmp_path):
    for name in ("a.svg", "b.svg"):
        draw_architecture(ModelCard.named("flexibert-mini"), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_types_of_pictures(tmp_path, suffix, magic):
    path = tmp_path / f"tiny.{suffix}"
    draw_architecture(ModelCard.named("bert-tiny"), path)
    assert path.read_bytes().startswith(magic)
    with pytest.raises(OptionError, match="a picture is one of"):
        draw_architecture(ModelCard.named("bert-tiny"), tmp_path / "tiny.bmp")
