"""Stage `judge`: real clips of the split `judge` and their captions -> judge.safetensors, judge.json."""

from pathlib import Path

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.errors import run
from pipeline.judges import save_judge
from pipeline.judges.training import train_on_split
from pipeline.monitoring import progress
from pipeline.params import ClipParams, JudgeParams, load_params


def train_judge(dataset: Dataset, out: Path, shape: ClipParams, options: JudgeParams, seed: int) -> None:
    """Train the judge on clips that the generator is not trained on, and print its accuracy on the split val."""
    judge, description = train_on_split(dataset, shape, options, seed, progress)
    save_judge(out, judge, description)
    if judge.untrained:
        print(f"judge: not trained: {judge.unavailable_reason}")
        return
    val = description["val"]
    accuracies = ", ".join(f"{what} {'n/a' if share is None else share}" for what, share in val["accuracy"].items())
    print(f"judge: trained on {judge.training_clips} clips; accuracy on {val['clips']} clips of val: {accuracies}")


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    out: Path = Path("data/judge"),
) -> None:
    """Train the judge on the split `judge`."""
    params = load_params()
    train_judge(Dataset(DataFolders(labels, clips, captions)), out, params.clip, params.judge, params.seed)


if __name__ == "__main__":
    run(main)
