"""The documentation: what its pages show is what their commands print and draw, and what they link exists."""

import re
from pathlib import Path

import pytest

from bench.faults import FAULTS, parse_faults
from tests.pages import PAGES, ROOT, Failed, carry_out_page, figures_of


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_commands_do(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    assert carry_out_page(text, tmp_path) == text, "run `make docs`"
    for name in figures_of(text):
        drawn, shown = ((folder / "figures" / name).read_bytes() for folder in (tmp_path, page.parent))
        assert drawn == shown, f"{name}: run `make docs`"


def test_a_page_that_says_something_else_is_noticed(tmp_path: Path) -> None:
    stale = "```console\n$ echo three leaders\none leader\n```"
    assert carry_out_page(stale, tmp_path) == "```console\n$ echo three leaders\nthree leaders\n```"
    (tmp_path / "more").mkdir()
    with pytest.raises(Failed, match="no fault 'leder-crash'; did you mean leader-crash"):
        carry_out_page("```sh\nelection-bench run -f leder-crash\n```", tmp_path / "more")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_links_exists(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()) if "://" not in link]
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"(bench/docs/{page.name})" not in text] == []


FILLED = {"K": "2", "TIME": "50ms", "KIND": "Election", "POSITION": "1", "FACTOR": "20", "RATE": "10"}
FILLED |= {"PROBABILITY": "0.05", "LATENCY": "uniform:1ms:9ms"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_written_as_the_catalogue_says(name: str) -> None:
    syntax = FAULTS[name].syntax or name
    for whole in (re.sub(r"\[.*?\]", "", syntax), syntax.replace("[", "").replace("]", "")):
        first, last = (re.sub(r"([^:,|]+)\|(?:[^:,|]+\|)*([^:,|]+)", pick, whole) for pick in (r"\1", r"\2"))
        for text in (first, last):
            written = re.sub(r"\b[A-Z]+\b", lambda word: FILLED[word[0]], text)
            ((fault,),) = parse_faults(written)
            assert fault.name == name
    named = {word for word in FAULTS[name].parameters if word and word != "when"}
    assert named == set(re.findall(r"(\w+)=", syntax))
