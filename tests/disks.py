"""Small disks for tests that fill them: file systems of their own, which need root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of that size on a folder, which is made; skip the test where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("NO MOUNTS: a test that fills a disk needs root and the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all room that a file system has left; returns the file that has it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


@contextmanager
def small_ext4(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount an ext4 of that size, which is in a file beside the folder; skip the test where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    image = folder.with_name(f"{folder.name}.ext4")
    with image.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    make: list[str | Path] = ["mkfs.ext4", "-q", "-m", "0", image]
    mount: list[str | Path] = ["mount", "-o", "loop", image, folder]
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("NO EXT4: a test on a file system in a file needs root and mkfs.ext4")
    subprocess.run(make, check=True, capture_output=True)
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("NO LOOP MOUNTS: a test on a file system in a file needs the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Let nobody make, rename or open a file of a disk for writing; what is open stays so."""
    subprocess.run(["mount", "--bind", disk, disk], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@contextmanager
def mount_point(file: Path) -> Iterator[None]:
    """Mount a file on itself, as containers do: the kernel then refuses with EBUSY to rename it."""
    if os.geteuid() != 0 or subprocess.run(["mount", "--bind", file, file], check=False).returncode:
        pytest.skip("NO MOUNTS: a test of a file that is a mount point needs root and the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", file], check=True)
