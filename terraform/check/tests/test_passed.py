"""What counts as the same inputs, and what is kept of a run that passed."""

import pathlib

import pytest

from tfcheck import passed


@pytest.fixture
def roots(tmp_path: pathlib.Path) -> list[pathlib.Path]:
    (tmp_path / "terraform" / "modules").mkdir(parents=True)
    (tmp_path / "terraform" / "modules" / "main.tf").write_text("a")
    (tmp_path / "schema.json").write_text("{}")
    return [tmp_path / "terraform", tmp_path / "schema.json"]


def change_a_file(root: pathlib.Path) -> None:
    (root / "terraform" / "modules" / "main.tf").write_text("b")


def add_a_file(root: pathlib.Path) -> None:
    (root / "terraform" / "new.py").write_text("")


def rename_a_file(root: pathlib.Path) -> None:
    (root / "terraform" / "modules" / "main.tf").rename(root / "terraform" / "modules" / "other.tf")


def change_the_schema(root: pathlib.Path) -> None:
    (root / "schema.json").write_text("[]")


@pytest.mark.parametrize("change", [change_a_file, add_a_file, rename_a_file, change_the_schema])
def test_every_change_of_an_input_has_another_key(roots, tmp_path, change):
    before = passed.key_of(roots, "1.0")
    assert passed.key_of(roots, "1.0") == before
    assert passed.key_of(roots, "1.1") != before
    change(tmp_path)
    assert passed.key_of(roots, "1.0") != before


def test_what_programs_leave_changes_no_key(roots, tmp_path):
    before = passed.key_of(roots, "1.0")
    (tmp_path / "terraform" / ".terraform").mkdir()
    (tmp_path / "terraform" / ".terraform" / "lock").write_text("")
    assert passed.key_of(roots, "1.0") == before


def test_only_the_newest_results_are_kept_and_a_torn_one_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(passed, "cache_dir", lambda: tmp_path)
    for number in range(passed.KEPT + 2):
        passed.keep(f"k{number}", {"one": [{"n": number}]})
        # Files of one instant have no order.
        file = passed.place(f"k{number}")
        time = 1_000_000 + number
        passed.os.utime(file, (time, time))
    last = passed.KEPT + 1
    assert passed.recall(f"k{last}") == {"one": [{"n": last}]}
    assert passed.recall("k0") is None
    passed.place(f"k{last}").write_text('{"one": [')
    assert passed.recall(f"k{last}") is None
