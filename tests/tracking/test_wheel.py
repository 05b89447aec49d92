"""The wheel that travels with a model is the package as it is here."""

import csv
import hashlib
import io
import zipfile
from base64 import urlsafe_b64encode

from conftest import ROOT

from seqexp.tracking import wheel


def test_the_wheel_holds_the_package_with_its_configs_and_what_it_needs() -> None:
    archive = zipfile.ZipFile(io.BytesIO(wheel.made()))
    names = set(archive.namelist())
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "seqexp").rglob("*.py")}
    configs = {f"seqexp/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert len(code) > 300 and len(configs) > 60 and code | configs <= names
    assert archive.read("seqexp/run.py") == (ROOT / "seqexp" / "run.py").read_bytes()
    (info,) = [name for name in names if name.endswith("METADATA")]
    assert b"Requires-Dist: torch" in archive.read(info)
    rows = list(csv.reader(io.StringIO(archive.read(info.replace("METADATA", "RECORD")).decode())))
    assert {name for name, _, _ in rows} == names
    for name, digest, size in rows[:-1]:
        data = archive.read(name)
        found = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert (digest, int(size)) == (f"sha256={found}", len(data))
