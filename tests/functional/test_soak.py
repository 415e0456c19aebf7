"""Many hand-overs back to back: fifty here, with `make soak` a thousand, or as many as its SOAK says."""

import os
import pathlib

import pytest

from soak import soak
from vmm import BUILD

pytestmark = pytest.mark.probe

COUNT = int(os.environ.get("PAGURUS_SOAK", "50"))
SECOND_BUILD = pathlib.Path(os.environ.get("PAGURUS_SECOND_BUILD", BUILD)).resolve()


def test_many_hand_overs_there_and_back_lose_nothing_and_grow_nothing(guest):
    print(f"soak: {COUNT} hand-overs between {BUILD} and {SECOND_BUILD}", flush=True)
    print(soak(guest, COUNT, (BUILD / "pagurus", SECOND_BUILD / "pagurus")), flush=True)
