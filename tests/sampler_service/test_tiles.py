"""Rows are cut so that neighbours do not matter; without that they are not cut."""

from pathlib import Path

import torch

from mesh.models import ModelEntry
from sampler_service.config import SamplerConfig
from sampler_service.model_folder import read_model_folder
from sampler_service.runners import open_runner
from sampler_service.testing_models import make_model_folder
from sampler_service.tiles import UNCUT, Tiling, find_tilings, multiply


def test_cuts_hold_all_padded_rows() -> None:
    for tiling in (Tiling((4, 8, 16)), Tiling((8,)), Tiling(())):
        for rows in range(70):
            padded = tiling.pad(rows)
            cuts = tiling.cut(padded)
            assert padded - rows < 8
            assert sum(cuts) == padded
            assert not tiling.sizes or set(cuts) <= set(tiling.sizes)


def test_rows_are_exact_in_every_place_and_company() -> None:
    generator = torch.Generator().manual_seed(0)
    for inputs, outputs in ((48, 80), (80, 48), (256, 768)):
        weight = torch.randn(outputs, inputs, generator=generator)
        row = torch.randn(1, inputs, generator=generator)
        tiling = find_tilings([weight]).tokens
        seen = []
        for rows in (1, 3, 5, 8, 13, 64):
            for place in (0, rows - 1):
                batch = torch.randn(tiling.pad(rows), inputs, generator=generator)
                batch[place] = row
                cuts = tiling.cut(batch.shape[0])
                seen.append(multiply(batch, weight, None, cuts)[place])
        assert all(torch.equal(seen[0], other) for other in seen)


def test_a_worker_may_go_without(tmp_path: Path) -> None:
    folder = read_model_folder(make_model_folder(tmp_path))
    entry = ModelEntry(folder.path, folder.vocabulary.fingerprint, context=256)
    assert open_runner(folder, entry, SamplerConfig(seeded=False)).info.determinism == "best effort"
    assert open_runner(folder, entry, SamplerConfig()).info.determinism == "seeded"
    assert UNCUT.shared
