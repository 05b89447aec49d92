"""What the head of `tracking=server` advises whoever starts a server."""

from conftest import ROOT


def test_a_server_listens_on_its_own_machine_and_its_password_is_on_no_command_line() -> None:
    text = (ROOT / "conf/tracking/server.yaml").read_text(encoding="utf-8")
    commands = text.replace("\\\n#", " ").splitlines()
    (start,) = [line for line in commands if " mlflow server " in line]
    assert "--host 127.0.0.1" in start and "PASSWORD" not in start and "0.0.0.0" not in text
    assert "export MLFLOW_BACKEND_STORE_URI=" in text
