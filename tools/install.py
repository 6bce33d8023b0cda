"""Create the virtual environment, unless it is up to date: `python3 -I tools/install.py FOLDER`.

Runs before anything is installed, so it is a script that uses only the standard library.
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
    """Make `folder` match pyproject.toml and constraints.txt; a stamp in it records their digest.

    A link to an environment that several clones share is followed: cleared through it, it would be lost to all.
    """
    folder = folder.resolve()
    stamp = folder / "installed.txt"
    wanted = f"{folder}\n{_digest()}\n"  # with the path: scripts of a moved environment refer to the old one
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
    """Install with uv, which takes seconds, or with pip if uv is not available or fails."""
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
    """pip's settings of package indexes as environment variables of uv, which does not read pip's settings."""
    # pip lists variables (`:env:`) before files, and variables have precedence, so the order is reversed.
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout
    found = {UV_NAMES[name]: value.replace("\\n", " ").strip() for name, value in reversed(SETTING.findall(listed))}
    return {name: ",".join(value.split()) for name, value in found.items() if name not in os.environ}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
