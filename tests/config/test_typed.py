"""Values as they are typed: what is read is what stands after the `=`."""

import random
import shlex
from pathlib import Path
from typing import Literal, get_origin

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
from seqexp.cli.arguments import prepared
from seqexp.config.groups import CONF
from seqexp.config.typed import Kinds, as_typed, command_line, pieces, written

SIGNS = "ab1 \t\n'\"\\()[]{}=:~,#%&*?!|;<>`^$@+-.é🙂"

TEXTS = [
    *("^chr8:", "^chr(8|9):", "^chr[89]:", "the cat ", " x", "\t", "a\nb", "a=b", "café", "🙂"),
    *("12", "1e5", "true", "inf", "-1", "a,b", "[x", "{", "x{", "(", "choice(a,b)", "range(3)"),
    *(
        "it's",
        "'tis",
        'say "x"',
        "\\",
        "a\\",
        "C:\\x",
        "\\d+",
        "a\\\\b",
        "#1",
        "50%",
        "$(ls)",
        "$x",
    ),
    *(
        "a&b",
        "a;b",
        "a|b",
        "*",
        "?",
        "!",
        "~",
        "~/x",
        "peaks (1).fa",
        "a  b",
        "${x",
        "${",
        "a ${x y",
    ),
    *("Null and void", "none", "None", "١", "\u202e", "--x", "a=,b"),
]


def read(*arguments: str, key: str = "decode.prompt") -> object:
    """The value that Hydra and OmegaConf come to."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", prepared(arguments))
    group, name = key.split(".")
    return OmegaConf.to_container(config[group], resolve=True)[name]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_what_was_typed(text: str) -> None:
    assert value_of(f"decode.prompt={text}") == text


def test_texts_of_any_signs_are_what_was_typed() -> None:
    draw = random.Random(0)
    for _ in range(300):
        text = "".join(draw.choices(SIGNS, k=draw.randint(1, 9)))
        if "${" in text or (text[0] in "'\"" and text[-1] == text[0]):
            continue  # interpolations and quotation marks have their meaning
        assert value_of(f"decode.prompt={text}") == text, text


def value_of(argument: str, *others: str) -> object:
    """As `read`, of an option whose value needs no composition."""
    *_, given = as_typed([*others, argument], [CONF], is_sweep=False)
    value = OverridesParser.create().parse_override(given).value()
    return OmegaConf.to_container(OmegaConf.create({"x": value}), resolve=True)["x"]


def test_a_composition_has_the_text_too() -> None:
    assert read("decode.prompt=the (cat) ,= ") == "the (cat) ,= "
    assert read("decode.prompt=${x") == "${x"
    assert read("paths.outputs=my runs (1)/é", key="paths.outputs") == "my runs (1)/é"
    assert read("dataset=text", "dataset.path=a=b.jsonl", key="dataset.path") == "a=b.jsonl"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("trainer.epochs=3", 3),
        ("optimizer.lr=1e-3", 1e-3),
        ("force=true", True),
        ("seeds=null", None),
        ("dataset.path=null", None),
        ("decode.prompt=", ""),
        ("decode.prompt='the cat '", "the cat "),
        ('dataset.test_names="^chr8:"', "^chr8:"),
        ("model.hidden_layers=[3,4]", [3, 4]),
        ("model.hidden_layers=[3,4", "[3,4"),  # for the config check, which says what is allowed
        ("dataset.motif=[a b,(c),12]", ["a b", "(c)", "12"]),
        ("dataset.motif=x (1).meme", "x (1).meme"),
        ("launcher.setup=[module load x,'a,b']", ["module load x", "a,b"]),
        ("model.embedding_size=auto", "auto"),
        ("model.embedding_size=3", 3),
        ("trainer.bptt.k1=3", 3),
        ("nothing.known=3", 3),
    ],
)
def test_what_is_no_text_is_read_as_ever(argument: str, value: object) -> None:
    assert value_of(argument) == value


def test_interpolations_keep_their_meaning() -> None:
    (given,) = as_typed(["paths.outputs=${oc.env:HOME}/x (1)"], [CONF], is_sweep=False)
    assert given == "paths.outputs='${oc.env:HOME}/x (1)'"


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("dataset.test_names=^chr8:,^chr9:", ["'^chr8:'", "'^chr9:'"]),
        ("dataset.test_names=^chr(8,9):, ^x", ["'^chr(8,9):'", "'^x'"]),
        ("dataset.test_names=null,^chr1:", ["null", "'^chr1:'"]),
        ("decode.prompt=choice(^a,b c)", ["'^a'", "'b c'"]),
        ("decode.prompt='a,b',c", ["'a,b'", "c"]),
        ("dataset.motif=[a b,(c)],[d],e(1)", ["['a b','(c)']", "[d]", "'e(1)'"]),
        ("seed=range(3)", ["0", "1", "2"]),
        ("model=lstm,rnn", ["lstm", "rnn"]),
        ("decode.prompt=1,2", ["'1'", "'2'"]),
    ],
)
def test_a_sweep_has_its_commas(argument: str, values: list[str]) -> None:
    (given,) = as_typed([argument], [CONF], is_sweep=True)
    override = OverridesParser.create().parse_override(given)
    assert list(override.sweep_string_iterator()) == values


def test_one_value_of_a_sweep_keeps_its_blanks() -> None:
    assert as_typed(["decode.prompt=the cat "], [CONF], is_sweep=True) == [
        "decode.prompt='the cat '"
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_kept_of_an_override_is_what_was_typed(text: str) -> None:
    typed = f"decode.prompt={text}"
    (given,) = as_typed([typed], [CONF], is_sweep=False)
    assert written(f"++{given}", [CONF]) == typed


def test_quotation_marks_stay_where_they_tell_a_text_from_a_number() -> None:
    assert written("++nothing.known='3'", [CONF]) == "nothing.known='3'"


def test_a_line_of_overrides_is_read_by_a_shell() -> None:
    given = ["decode.prompt=the cat ", "seed=1", "model.hidden_layers=[3,4]", "x=$(ls)", "y=it's"]
    line = command_line(given)
    assert shlex.split(line) == given
    assert "seed=1 model.hidden_layers=[3,4]" in line


def test_pieces_are_parted_at_commas_of_their_own() -> None:
    assert pieces("a,(b,c),'d,e'") == ["a", "(b,c)", "'d,e'"]
    assert pieces("a(,b") == ["a(", "b"]
    assert pieces("it's,b") == ["it's", "b"]


def test_an_option_of_a_users_own_is_known_by_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_of_mine.py").write_text(
        "raise SystemExit\nclass M:\n    def __init__(self, name: str): ...\n"
    )
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/mine.yaml").write_text("_target_: lab_of_mine.M\n")  # never imported
    monkeypatch.syspath_prepend(str(tmp_path))
    kinds = Kinds([CONF, tmp_path / "conf"], ["model=mine"])
    assert kinds.is_text("model.name") and not kinds.is_text("model.hidden_size")


def test_no_key_is_a_text_in_one_option_and_not_in_another() -> None:
    """A choice of words is no other thing: they are as they stand."""
    kinds = Kinds([CONF], [])
    for group in (path.name for path in (ROOT / "conf").iterdir() if path.is_dir()):
        for key in kinds.keys(group):
            found = {kind for kind in kinds.annotations(key) if get_origin(kind) is not Literal}
            are_texts = {"str" in str(kind) for kind in found}
            assert len(are_texts) <= 1, (key, found)


def test_texts_by_name_are_as_typed() -> None:
    """A path may have any sign, in a list and by name too."""
    files = {"first one": "a b/x.bed", "B": "c=1(2).bed"}
    typed = "{first one: a b/x.bed, B: c=1(2).bed}"
    key = "dataset.intervals"
    assert read(f"{key}={typed}", "dataset=fasta", key=key) == files
    assert read(f"{key}=[a b.bed,c=1.bed]", "dataset=fasta", key=key) == ["a b.bed", "c=1.bed"]
    assert read(f"{key}=a b.bed", "dataset=fasta", key=key) == "a b.bed"
