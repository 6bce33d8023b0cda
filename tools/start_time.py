"""CPU seconds of some commands, also relative to `import typer`: `python -m tools.start_time`.

In a project with a model, also of `t2v sample`: four clips as a GIF, by the ONNX graph and by torch.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 5  # the fastest counts
COMMANDS = {
    "import typer": ["-c", "import typer"],
    "t2v --help": ["-m", "pipeline.cli", "--help"],
    "t2v plan --help": ["-m", "pipeline.cli", "plan", "--help"],
}
MODEL = Path("data/model/generator.safetensors")
SAMPLE = ["-m", "pipeline.cli", "sample", "pushing a mug from left to right", "-o"]


def measure_cpu_seconds(arguments: list[str]) -> float:
    """User and system time of running Python with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line per command."""
    with tempfile.TemporaryDirectory() as folder:
        sample = [*SAMPLE, f"{folder}/mug.gif"]
        drawing = {"t2v sample": sample, "t2v sample --exact": [*sample, "--exact"]} if MODEL.exists() else {}
        commands = COMMANDS | drawing
        seconds = {name: min(measure_cpu_seconds(words) for _ in range(ROUNDS)) for name, words in commands.items()}
    for name, value in seconds.items():
        print(f"{name:18} {value:6.3f} CPU seconds {value / seconds['import typer']:6.2f} x")


if __name__ == "__main__":
    main()
