"""The kernels of CUDA, interpreted, against the library's operations."""

import os
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported
pytest.importorskip("triton", reason="the extra 'gpu', whose kernels are interpreted here")

from sampler_service.arithmetic import Norm, PlainArithmetic
from sampler_service.fused_arithmetic import FusedArithmetic
from sampler_service.row_attention import RowAttention

GENERATOR = torch.Generator().manual_seed(5)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


def looked_up(query: Tensor, keys_values: Tensor, base: int, length: int) -> Tensor:
    """One row by the library's attention, in double precision."""
    key, value = keys_values[:, base : base + length].double().transpose(1, 2).unbind(0)
    rows = query.double().view(key.shape[0], -1, key.shape[2])
    mixed = functional.scaled_dot_product_attention(rows[None], key[None], value[None])
    return mixed.view(query.shape)


class TestAttention:
    """Every row by itself, in one launch."""

    @pytest.mark.parametrize(("heads", "kv_heads", "size"), [(6, 2, 8), (4, 4, 64), (7, 1, 40)])
    @pytest.mark.parametrize("length", [1, 63, 64, 65, 256, 257, 700, 2049])
    def test_it_is_what_the_library_computes(
        self, heads: int, kv_heads: int, size: int, length: int
    ) -> None:
        query, keys_values = random(2, heads, size), random(2, 2100, kv_heads, size)
        attention = RowAttention(torch.tensor([17, 0]), torch.tensor([length, 0]), 2)
        found = attention(query, keys_values)
        expected = looked_up(query[0], keys_values, 17, length)
        assert (found[0] - expected).abs().max() < 1e-5
        assert not found[1].any()  # padding

    def test_a_row_depends_on_its_own_keys_only(self) -> None:
        query, keys_values = random(8, 4, 16), random(2, 4000, 2, 16)
        lengths = [1, 900, 64, 0, 300, 1000, 257, 2]
        bases = [0, 10, 950, 3, 1500, 2000, 3100, 3500]
        together = RowAttention(torch.tensor(bases), torch.tensor(lengths), 8)(query, keys_values)
        for row, (base, length) in enumerate(zip(bases, lengths, strict=True)):
            alone = RowAttention(torch.tensor([base]), torch.tensor([length]), 1)
            assert torch.equal(alone(query[row : row + 1], keys_values)[0], together[row])


class TestArithmetic:
    """Fused kernels are the plain operations."""

    @pytest.fixture(params=[torch.float32, torch.float16])
    def dtype(self, request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 - a torch.dtype
        return request.param

    @pytest.mark.parametrize("size", [48, 64, 100])
    def test_norm(self, dtype: torch.dtype, size: int) -> None:
        rows, norm = random(5, 3, size).to(dtype), Norm(random(size).to(dtype), 1e-5)
        self.agree(lambda a: a.normalise(rows[:, 1:], norm))

    @pytest.mark.parametrize(("heads", "size"), [(8, 8), (5, 16), (3, 24)])
    def test_rotation(self, dtype: torch.dtype, heads: int, size: int) -> None:
        angles = random(4, 1, size // 2)
        cosines = torch.cat((angles.cos(), angles.cos()), -1)
        sines = torch.cat((-angles.sin(), angles.sin()), -1)
        turning = random(4, heads + 2, size).to(dtype)[:, :heads]
        self.agree(lambda a: a.rotate(turning, cosines, sines))

    @pytest.mark.parametrize("size", [80, 1024, 1500])
    def test_activation(self, dtype: torch.dtype, size: int) -> None:
        wide = random(3, 2 * size).to(dtype)
        self.agree(lambda a: a.activate(wide))

    def agree(self, compute: Any) -> None:  # noqa: ANN401 - from an arithmetic to a tensor
        plain, fused = compute(PlainArithmetic()), compute(FusedArithmetic())
        assert fused.dtype == plain.dtype
        tolerance = 1e-6 if plain.dtype == torch.float32 else 2.0**-10
        assert torch.allclose(fused.float(), plain.float(), rtol=tolerance, atol=tolerance)
