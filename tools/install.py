"""Make the virtual environment, or do nothing if it is the right one: `python3 -I tools/install.py FOLDER`.

Runs before anything is installed, hence as a plain script on the standard library alone.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = "uv>=0.9,<0.14"
SETTING = re.compile(r"^\S*?\.(find-links|index-url)='(.*)'$", re.MULTILINE)
UV_NAMES = {"find-links": "UV_FIND_LINKS", "index-url": "UV_DEFAULT_INDEX"}


def main(folder: Path) -> None:
    """Bring `folder` to what pyproject.toml and constraints.txt ask for; a stamp inside says that it is."""
    stamp = folder / "installed.txt"
    wanted = f"{folder}\n{_digest()}\n"  # the path, since a moved environment has scripts that start the old one
    found = stamp.read_text() if stamp.is_file() else ""
    if found == wanted:
        return
    moved = bool(found) and found.splitlines()[0] != str(folder)
    if moved or not _works(folder / "bin" / "python"):
        _create(folder)
    stamp.unlink(missing_ok=True)
    _install(folder / "bin" / "python")
    stamp.write_text(wanted)


def _digest() -> str:
    files = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _works(python: Path) -> bool:
    check = "import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))"
    return python.exists() and subprocess.run([python, "-c", check], stderr=subprocess.DEVNULL).returncode == 0


def _create(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
        sys.exit(f"error: {folder} holds files and is no virtual environment; choose another: make VENV=FOLDER")
    if subprocess.run([sys.executable, "-m", "venv", "--clear", folder]).returncode:
        sys.exit(
            f"error: {sys.executable} cannot make a virtual environment in {folder} (see above); "
            "on Debian and Ubuntu: apt-get install python3-venv, elsewhere: make PYTHON=another-python3"
        )


def _install(python: Path) -> None:
    """Install with uv, which takes seconds, or with pip where uv cannot be had or does not get through."""
    what = ["-e", f"{ROOT}[dev]", "-c", str(ROOT / "constraints.txt")]
    pip = [str(python), "-m", "pip"]
    print(f"installing into {python.parents[1]}: about 2 GB, seconds to minutes", flush=True)
    if subprocess.run([*pip, "install", "-q", UV]).returncode == 0:
        uv = [str(python), "-m", "uv", "pip", "install", "-q", "--python", str(python)]
        if subprocess.run([*uv, *what], env=os.environ | _pip_settings(pip)).returncode == 0:
            return
    print("uv could not install it (see above); trying with pip", flush=True)
    if subprocess.run([*pip, "install", "-q", *what]).returncode:
        sys.exit("error: pip could not install it either (see above); is a package registry within reach?")


def _pip_settings(pip: list[str]) -> dict[str, str]:
    """Where pip was told to look, in uv's names: uv reads none of pip's settings."""
    # pip lists its variables (`:env:`) before its files, and the variables count; hence the last word is theirs.
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout
    found = {UV_NAMES[name]: value.replace("\\n", " ").strip() for name, value in reversed(SETTING.findall(listed))}
    return {name: ",".join(value.split()) for name, value in found.items() if name not in os.environ}


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
