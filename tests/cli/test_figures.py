import pytest


@pytest.mark.parametrize("numbers", [["1"], ["4", "9"], ["all", "2"]])
def test_numbers_that_are_none_are_one_line(flexnas, tmp_path, numbers):
    code, out, error = flexnas("figures", *numbers, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "is none of" in error
    assert not (tmp_path / "out").exists()


def test_the_command_writes_what_it_names(flexnas, tmp_path):
    code, out, _ = flexnas("figures", "2", "8", "--out", tmp_path / "out")
    assert code == 0
    assert len(out.split()) == 8
    assert (
        f"Command: flexnas-bench figures 8 --out {tmp_path / 'out'}." in (tmp_path / "out" / "figure-8.md").read_text()
    )
    (tmp_path / "file").write_text("")
    assert flexnas("figures", "2", "--out", tmp_path / "file")[0] == 2
