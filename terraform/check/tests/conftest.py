"""Helpers of all tests."""

import pathlib

import pytest


@pytest.fixture
def module(tmp_path):
    """Writes a module of one file and answers its directory."""

    def write(text: str) -> pathlib.Path:
        directory = tmp_path / "module"
        directory.mkdir(exist_ok=True)
        (directory / "main.tf").write_text(text)
        return directory

    return write
