"""Counting the cores that may be used."""

from __future__ import annotations

import os
from pathlib import Path

from config.machine import usable_cores


def write(topology: Path, cpu: int, siblings: str) -> None:
    file = topology / f"cpu{cpu}/topology/thread_siblings_list"
    file.parent.mkdir(parents=True)
    file.write_text(siblings + "\n")


def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    for cpu in os.sched_getaffinity(0):
        write(tmp_path, cpu, "0,1")
    assert usable_cores(tmp_path, tmp_path / "none") == 1


def test_container_quota_limits(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("50000 100000\n")
    assert usable_cores(tmp_path, quota) == 1


def test_without_topology_or_quota_every_cpu_counts(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("max 100000\n")
    assert usable_cores(tmp_path, quota) == usable_cores(tmp_path, tmp_path / "none") == len(os.sched_getaffinity(0))
