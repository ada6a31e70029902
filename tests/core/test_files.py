"""Files that are whole or absent, and locks between processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ottenok.core.files import LockedError, atomic_folder, atomic_path, locked

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path, kind: str) -> None:
    """What a killed process was writing goes when the target is written again; other names and living ones stay."""
    target = tmp_path / "out.txt"
    maker = "atomic_path" if kind == "file" else "atomic_folder"
    code = (
        f"import os, sys, pathlib; from ottenok.core.files import {maker}\n"
        f"with {maker}(pathlib.Path(sys.argv[1])) as part:\n"
        "    (part if part.suffix == '.txt' else part / 'x').write_text('half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.call([sys.executable, "-c", code, str(target)]) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    stranger = tmp_path / ".out.txt.mine.part.txt"
    stranger.write_text("not ours")

    if kind == "file":
        with atomic_path(target) as part, atomic_path(target) as other:
            part.write_text("whole")
            other.write_text("first")
    else:
        with atomic_folder(target) as part:
            (part / "x").write_text("whole")

    assert sorted(entry.name for entry in tmp_path.iterdir()) == [stranger.name, "out.txt"]
    assert (target if kind == "file" else target / "x").read_text() == "whole"


def test_an_old_folder_comes_back_after_a_kill_between_two_renames(tmp_path: Path) -> None:
    """A process that is killed when the old folder was moved aside loses nothing."""
    target = tmp_path / "corpus"
    target.mkdir()
    (target / "x").write_text("old")
    code = (
        "import os, pathlib, sys; from ottenok.core import files\n"
        "real = pathlib.Path.replace\n"
        "def once(self, other):\n"
        "    found = real(self, other); os.kill(os.getpid(), 9)\n"
        "pathlib.Path.replace = once\n"
        "with files.atomic_folder(pathlib.Path(sys.argv[1])) as part:\n"
        "    (part / 'x').write_text('new')"
    )
    assert subprocess.call([sys.executable, "-c", code, str(target)]) == -signal.SIGKILL
    assert not target.exists()

    with pytest.raises(KeyboardInterrupt), atomic_folder(target):
        raise KeyboardInterrupt

    assert (target / "x").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["corpus"]


def test_a_lock_is_one_process_s(tmp_path: Path) -> None:
    """The second process is told the first one's number; a killed one frees its lock."""
    file = tmp_path / "lock"
    code = (
        "import pathlib, sys, time; from ottenok.core.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"

    with pytest.raises(LockedError) as caught, locked(file):
        pass
    assert caught.value.pid == holder.pid
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with locked(file):
        assert file.read_text() == str(os.getpid())
    assert not file.exists()


@pytest.mark.parametrize("moment", ["flock", "samestat"])
def test_ctrl_c_before_the_lock_is_held_leaves_no_file(tmp_path: Path, moment: str) -> None:
    """Its file is made before it is locked; of an interrupted attempt nothing stays, and another's file does."""
    code = (
        "import os, fcntl, pathlib, sys\n"
        "from ottenok.core.files import LockedError, locked\n"
        "where = {'flock': fcntl, 'samestat': os.path}[sys.argv[2]]\n"
        "real = getattr(where, sys.argv[2])\n"
        "def once(*arguments):\n"
        "    setattr(where, sys.argv[2], real)\n"
        "    raise KeyboardInterrupt\n"
        "setattr(where, sys.argv[2], once)\n"
        "try:\n"
        "    with locked(pathlib.Path(sys.argv[1])): pass\n"
        "except (KeyboardInterrupt, LockedError) as error: print(type(error).__name__)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock"), moment]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "KeyboardInterrupt\n"
    assert list(tmp_path.iterdir()) == []

    with locked(tmp_path / "lock"):
        subprocess.run(command, capture_output=True, check=True)
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """A write that fails for want of room says which file it was."""
    import errno

    with pytest.raises(OSError, match="No space left") as caught, atomic_path(tmp_path / "out.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert caught.value.filename == str(tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []
