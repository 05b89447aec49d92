"""A text that training refuses is refused by `predict`, and the other way round."""

from pathlib import Path

import pytest
from training import train

from seqexp.cli.subcommand import run_command
from seqexp.dataset.words.documents import Columns, read_documents

COMMAND = "predict"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    lines = [f"the film {i} is {'good' if i % 2 else 'bad'},{i % 2}" for i in range(60)]
    (folder / "t.csv").write_text("\n".join(["text,label", *lines]))
    train(folder, "dataset=text", f"dataset.path={folder}/t.csv", "model.filter_width=2")
    return folder


def predicted(outputs: Path, file: Path) -> int:
    given = [f"input={file}", f"output={file}.out", "run=latest", f"paths.outputs={outputs}"]
    return run_command(COMMAND, given)


@pytest.mark.parametrize("text", ['""""""', '"..."', "good", "NA", "\x00", "été", "a,b", '"a\nb"'])
def test_texts_are_refused_by_both_or_by_none(outputs: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "t.csv"
    quoted = f'"{text}"' if "," in text and '"' not in text else text
    file.write_text(f"text,label\ngood film,1\n{quoted},0\n", encoding="utf-8")
    from seqexp.dataset.words.corpus import encode
    from seqexp.errors import InputError

    try:
        encode({"train": read_documents(file, Columns("text", "label"))}, None)
        is_read = True
    except InputError:
        is_read = False
    assert predicted(outputs, file) == (0 if is_read else 2)
    assert is_read == Path(f"{file}.out").exists()
