"""Makes the README's pictures from runs: python -m tests.pages.pictures

A default run's best filter with the planted motif below it, and a sweep's page in MLflow.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # as pytest does
from browser import Browser, served  # noqa: E402

FOLDER = Path(__file__).parents[2] / ".github" / "pictures"

BEST_FILTER = (0.0, 0.017, 0.5, 0.262)
"""The first of a run's eight in `filters/filters.png`: left, top, right, bottom, as shares."""

SWEEP = ("-m", "model=cnn1d,lstm,rnn", "seeds=3", "interpret=none")


def main() -> None:
    """Train, draw, and leave the pictures small."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        outputs = Path(temporary) / "outputs"
        for arguments in ((), SWEEP):
            command = [sys.executable, "-m", "seqexp", *arguments, f"paths.outputs={outputs}"]
            subprocess.run(command, check=True, capture_output=True)
        client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
        single = client.search_runs(["1"], order_by=["attributes.start_time"])[0]  # the first
        (sweep,) = client.search_runs(["1"], "tags.mlflow.runName LIKE 'sweep%'")
        drawn = outputs / "mlartifacts" / single.info.run_id / "artifacts/filters/filters.png"
        picture = Image.open(drawn)
        edges = zip(BEST_FILTER, 2 * picture.size, strict=True)
        left, top, right, bottom = (round(share * size) for share, size in edges)
        keep(picture.crop((left, top, right, bottom)), "filter", 560)
        with served(outputs) as address:
            browser = Browser(Path(temporary) / "profile", Path(temporary))
            page = f"{address}/#/experiments/1/runs/{sweep.info.run_id}"
            browser.open(f"{page}?workflowType=machine_learning", "behind the best")
            browser.open(f"{page}/artifacts/comparison.png?workflowType=machine_learning", "Path")
            browser.hide("Path:")  # of this machine
            shown = Image.open(browser.picture("sweep"))
            browser.driver.quit()
        keep(shown.crop((0, 0, shown.width, round(0.5 * shown.height))), "comparison", 1200)


def keep(picture: Image.Image, name: str, width: int) -> None:
    """As wide as it is shown, in few colours."""
    height = round(picture.height * width / picture.width)
    small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    small.quantize(256).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
