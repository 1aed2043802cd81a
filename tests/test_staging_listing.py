"""What --list and --inspect print: on a terminal of any width, and into a pipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import encoder_makers
import pytest
from inspecting import survey
from tf_embeddings_staging.catalogue import catalogue
from tf_embeddings_staging.listing import SORTS, report, table
from tf_embeddings_staging.options import Options

MEANS = (
    "\nMB: the weights as float32. tokens: longer texts are cut. speed: about how many\n"
    "texts it embeds while minilm embeds one. quality: of search in English, nDCG@10\n"
    "in percent, as published. -: not known.\n"
)
WIDTHS = [1, 40, 79, 80, 129, 130, 150, 300]

REPORT: dict[str, Any] = {
    "format": "TensorFlow 2 objects",
    "tensorflow": "2.17.0",
    "tags": [["serve"], []],
    "signatures": [
        {
            "name": "serving_default",
            "inputs": [{"name": "text", "dtype": "string", "shape": [None]}],
            "outputs": [
                {"name": "outputs", "dtype": "float32", "shape": [-1, 512]},
                {"name": 1, "dtype": "float32", "shape": None},
            ],
        },
        {"name": "nothing", "inputs": [], "outputs": []},
    ],
    "ops": {"Add": 2, "MatMul": 12, "ReadFile": 1},
    "refused_ops": [{"op": "ReadFile", "where": "in the function 'f'", "why": ""}],
    "allowed_ops": [],
    "unknown_ops": [],
    "libraries": ["tensorflow_text"],
    "files": {"saved_model.pb": 2048, "variables/variables.index": 1023, "big": 5 * 2**30},
    "kind": None,
    "signature": None,
    "output": None,
    "why": None,
    "problem": "the graph reads files: ReadFile.",
}


def test_into_a_pipe_each_model_is_one_line() -> None:
    lines = table(catalogue(), 0).splitlines()
    assert lines[0].split() == [
        *("name", "dims", "MB", "tokens", "languages", "speed", "quality"),
        *("kind", "license", "needs", "prefix", "verified", "about"),
    ]
    assert [line.split()[0] for line in lines[1:]] == list(catalogue())
    at = lines[0].index("about")
    assert [line[at:] for line in lines[1:]] == [one.about for one in catalogue().values()]


def test_a_row_says_what_a_model_needs_beyond_the_usual() -> None:
    rows = {line.split()[0]: line for line in table(catalogue(), 0).splitlines()}
    needs = slice(rows["name"].index("needs"), rows["name"].index("prefix"))
    assert rows["minilm"][needs].strip() == ""
    assert rows["use_lite"][needs].strip() == ""
    assert rows["use_multilingual"][needs].strip() == "tensorflow-text"
    languages = slice(rows["name"].index("languages"), rows["name"].index("speed"))
    assert rows["use_multilingual"][languages].strip() == "16"
    assert rows["labse"][languages].strip() == "many"
    prefix = slice(rows["name"].index("prefix"), rows["name"].index("verified"))
    assert rows["e5_small_query"][prefix].rstrip() == '"query: "'
    assert rows["arctic_s_passage"][prefix].strip() == ""
    verified = slice(rows["name"].index("verified"), rows["name"].index("about"))
    assert rows["minilm"][verified].strip() == "yes"
    assert rows["use"][verified].strip() == "no"


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width: int) -> None:
    drawn = table(catalogue(), width)
    assert max(map(len, drawn.splitlines())) <= max(width, 40)
    words = drawn.split()
    for entry in catalogue().values():
        assert entry.name in words
        assert str(entry.dimensions) in words
        for word in entry.about.split():
            assert word in words


def test_80_columns_show_what_one_chooses_by_side_by_side() -> None:
    lines = table(catalogue(), 80).removesuffix(MEANS).splitlines()
    assert lines[0].split() == ["name", "dims", "MB", "tokens", "languages", "speed", "quality"]
    starts = [lines[0].index(heading) for heading in lines[0].split()]
    names = [line for line in lines[1:] if not line.startswith(" ")]
    assert [line.split()[0] for line in names] == list(catalogue())
    for line in names:
        cells = [
            line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)
        ]
        assert all(cells), "a dash stands for what is not known"
        assert " " not in "".join(cells), "a column ends before the next begins"
        assert cells[1] == str(catalogue()[cells[0]].dimensions)


def test_a_terminal_of_some_width_gets_lines_below_the_columns() -> None:
    only = {"use_multilingual": catalogue()["use_multilingual"], "minilm": catalogue()["minilm"]}
    assert table(only, 80) == (
        "name              dims  MB  tokens  languages  speed  quality\n"
        "use_multilingual  512   -   -       16         -      -\n"
        "  Universal Sentence Encoder multilingual; a text and its translation lie close\n"
        "  together\n"
        "  text, Apache-2.0, needs tensorflow-text, not verified\n"
        "minilm            384   91  256     en         1      42.0\n"
        "  all-MiniLM-L6-v2, English sentences and short paragraphs; small, fast, a good\n"
        "  first choice\n"
        f"  tokens, Apache-2.0, verified\n{MEANS}"
    )


def test_a_narrow_terminal_gets_paragraphs() -> None:
    only = {"e5_small_query": catalogue()["e5_small_query"], "use": catalogue()["use"]}
    drawn, _, means = table(only, 50).partition("\nMB: ")
    assert means.split() == MEANS.split()[1:]
    assert drawn == (
        "e5_small_query\n"
        "  384 dimensions, 133 MB, 512 tokens, languages\n"
        "  en, speed 0.5, quality 49.0\n"
        "  E5 small v2, English search, the side of the\n"
        "  queries; beside e5_small_passage\n"
        '  tokens, MIT, prefix "query: ", not verified\n'
        "\n"
        "use\n"
        "  512 dimensions, any tokens, languages en\n"
        "  Universal Sentence Encoder, English sentences\n"
        "  and short paragraphs; fast, of any length\n"
        "  text, Apache-2.0, not verified\n"
    )


def test_a_wide_terminal_gets_columns() -> None:
    only = {"minilm": catalogue()["minilm"]}
    drawn, _, means = table(only, 150).partition("\nMB: ")
    assert means.split() == MEANS.split()[1:]
    assert drawn == (
        "name    dims  MB  tokens  languages  speed  quality  kind    license     needs  prefix  "
        "verified  about\n"
        "minilm  384   91  256     en         1      42.0     tokens  Apache-2.0                 "
        "yes       all-MiniLM-L6-v2, English sentences and short\n"
        f"{'':98}paragraphs; small, fast, a good first choice\n"
    )


SHOWN = ["use", "wordllama", "minilm", "bge_base", "bge_small"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (None, SHOWN),
        ("speed", ["wordllama", "minilm", "bge_small", "bge_base", "use"]),
        ("quality", ["bge_base", "bge_small", "minilm", "use", "wordllama"]),
        ("size", ["wordllama", "minilm", "bge_small", "bge_base", "use"]),
        ("name", sorted(SHOWN)),
    ],
)
def test_the_order_is_the_one_that_is_asked_for(sort: str | None, order: list[str]) -> None:
    """What is not known of a model comes last, in the order of the catalogue."""
    lines = table({name: catalogue()[name] for name in SHOWN}, 0, sort).splitlines()[1:]
    assert [line.split()[0] for line in lines] == order


def test_each_order_of_the_whole_catalogue_shows_every_model_once() -> None:
    for sort in SORTS:
        lines = table(catalogue(), 0, sort).splitlines()[1:]
        assert sorted(line.split()[0] for line in lines) == sorted(catalogue())


def test_without_a_terminal_it_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    print(table(catalogue()), end="")
    assert capsys.readouterr().out == table(catalogue(), 0)


def test_a_report_shows_everything() -> None:
    assert report({"report": REPORT}, 0) == (
        "libraries  tensorflow_text\n"
        "format     TensorFlow 2 objects\n"
        "saved by   TensorFlow 2.17.0\n"
        "tags       serve | none\n"
        "\n"
        "signatures\n"
        "  serving_default\n"
        "    in   text     string [?]\n"
        "    out  outputs  float32 [?, 512]\n"
        "    out  1        float32, of unknown shape\n"
        "  nothing\n"
        "\n"
        "ops: 15 of 3 sorts\n"
        "  MatMul 12, Add 2, ReadFile 1\n"
        "\n"
        "refused ops\n"
        "  ReadFile in the function 'f'\n"
        "\n"
        "files: 5.00 GiB in 3\n"
        "  saved_model.pb             2.0 KiB\n"
        "  variables/variables.index  1023 bytes\n"
        "  big                        5.00 GiB\n"
    )


def test_what_was_run_is_in_the_report_too() -> None:
    found = {
        "kind": "text",
        "why": "the signature 'serving_default' takes strings.",
        "model_dimensions": 512,
        "max_tokens": 128,
        "normalize": True,
        "libraries": [],
        "report": {**REPORT, "problem": None, "signature": "serving_default", "output": "outputs"},
    }
    assert report(found, 0).partition("\nlibraries")[0] == (
        "kind        text\n"
        "why         the signature 'serving_default' takes strings.\n"
        "signature   serving_default\n"
        "output      outputs\n"
        "dimensions  512\n"
        "max tokens  128\n"
        "normalized  yes, as configured; not measured"
    )


def test_the_report_of_an_encoder_folder() -> None:
    found = {
        "kind": "tokens",
        "why": "config.json says model_type 'bert'.",
        "model_dimensions": 384,
        "max_tokens": 256,
        "normalize": False,
        "libraries": [],
        "report": {
            "encoder": {"hidden_size": 384, "pooling": "mean", "prefix": ""},
            "prompts": {"query": "query: "},
            "files": {"model.safetensors": 3 * 2**20},
        },
    }
    assert report(found, 0) == (
        "kind        tokens\n"
        "why         config.json says model_type 'bert'.\n"
        "dimensions  384\n"
        "max tokens  256\n"
        "normalized  no, as configured; not measured\n"
        "\n"
        "encoder\n"
        "  hidden_size  384\n"
        "  pooling      mean\n"
        "\n"
        "prompts\n"
        "  query  query: \n"
        "\n"
        "files: 3.0 MiB in 1\n"
        "  model.safetensors  3.0 MiB\n"
    )


def test_a_preprocessor_is_shown_below() -> None:
    shown = report({"report": {**REPORT, "preprocessor": REPORT}}, 0)
    _, _, below = shown.partition("\npreprocessor\n")
    assert below.startswith("  signatures\n    serving_default\n      in   text     string [?]\n")


def test_a_report_fits_the_terminal() -> None:
    many = {"report": {**REPORT, "ops": {f"Op{number}": number for number in range(1, 90)}}}
    for width in (60, 100):
        lines = report(many, width).splitlines()
        assert max(map(len, lines)) <= width
    assert "Op89 89, Op88 88" in report(many, 60)
    for line in report(many, 60).partition("\nops")[2].partition("\n\n")[0].splitlines()[1:]:
        assert line.strip().startswith("Op"), "a count stands beside its op"


def test_the_report_of_a_real_model(tmp_path: Path) -> None:
    made = encoder_makers.save_use_lite_module(tmp_path / "m")
    shown = report({"report": survey(made.path, Options())}, 0)
    for line in (
        "kind       sentencepiece",
        "signature  default",
        "tags       none",
        "    in   dense_shape  int64 [2]",
        "  spm_path",
    ):
        assert line in shown.splitlines()
    assert "assets/universal_encoder_8k_spm.model" in shown
