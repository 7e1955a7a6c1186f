"""Is the race that picks tokens on CUDA right?"""

from dataclasses import replace

import torch

from bench.full_batch import Found
from sampler_service.philox import Draw
from sampler_service.picking import pick_rows
from sampler_service.row_sampling import RowSampling


def check_race(device: torch.device) -> Found:
    """Compare picks with those of the processor's operations, and drawn shares with the softmax."""
    from sampler_service.race_picking import race_rows  # noqa: PLC0415 - needs triton

    random = torch.Generator(device).manual_seed(2)
    logits = torch.randn(256, 131072, generator=random, device=device)
    masks = torch.randint(-(2**31), 2**31, (256, 4096), generator=random, device=device).int()
    greedy = [RowSampling(Draw(row, 0, 0), wants_likeliest=True) for row in range(256)]
    warm = [
        replace(row, temperature=1.0, top_p=0.9 + 0.1 * (n % 2)) for n, row in enumerate(greedy)
    ]
    expected = pick_rows(logits, masks, greedy)
    together = race_rows(logits, masks, warm)
    alone = [race_rows(logits[n : n + 1], masks[n : n + 1], warm[n : n + 1])[0] for n in range(256)]
    few = torch.full((10_000, 5000), -30.0, device=device)
    few[:, :8] = torch.arange(8, device=device) * 0.4
    rows = [RowSampling(Draw(7, 0, position), 1.0) for position in range(len(few))]
    drawn = race_rows(few, torch.full((len(few), 157), -1, device=device, dtype=torch.int32), rows)
    shares = torch.softmax(few[0].double(), 0)[:8] * len(few)
    counts = torch.bincount(drawn[:, 0].long(), minlength=8)[:8]
    return {
        "race: greedy picks equal": torch.equal(race_rows(logits, masks, greedy), expected.int()),
        "race: rows alone equal": torch.equal(torch.stack(alone), together),
        "race: chi-square, of what is rare": float(((counts - shares) ** 2 / shares).sum()) / 24.3,
    }
