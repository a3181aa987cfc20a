"""The text side gives coqui's own numbers, module by module."""

from typing import Any

import pytest
import torch
from TTS.tts.layers.glow_tts.duration_predictor import DurationPredictor
from TTS.tts.layers.vits.networks import TextEncoder
from TTS.tts.layers.vits.stochastic_duration_predictor import StochasticDurationPredictor
from TTS.tts.layers.vits.transforms import piecewise_rational_quadratic_transform

from voicesvc.engines.front import Durations, Encoder, StochasticDurations, inverse_spline

HIDDEN = 16


def randomised(module: torch.nn.Module, scale: float = 0.25) -> Any:
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.0, scale)
    return module.eval().requires_grad_(False)


@pytest.mark.parametrize("n_ids", [1, 3, 8, 9, 10, 57])
def test_encoder(n_ids: int) -> None:
    theirs = randomised(TextEncoder(40, HIDDEN, HIDDEN, 32, 2, 3, 3, 0.1))
    ids = torch.randint(0, 40, (n_ids,), generator=torch.Generator().manual_seed(n_ids))
    with torch.inference_mode():
        expected = theirs(ids[None], torch.tensor([n_ids]))
        got = Encoder(theirs)(ids)
    for mine, their in zip(got, expected, strict=False):
        assert torch.allclose(mine, their[0].t(), atol=1e-5)


@pytest.mark.parametrize("n_ids", [1, 2, 40])
@pytest.mark.parametrize("speaker", [0, 5])
def test_stochastic_durations(monkeypatch: pytest.MonkeyPatch, n_ids: int, speaker: int) -> None:
    theirs = randomised(StochasticDurationPredictor(HIDDEN, 192, 3, 0.5, 4, cond_channels=speaker))
    noise = torch.randn(1, 2, n_ids) * 1.5
    h = torch.randn(1, HIDDEN, n_ids)
    g = torch.randn(1, speaker, 1) if speaker else None
    with monkeypatch.context() as patched, torch.inference_mode():
        patched.setattr(torch, "randn", lambda *_, **__: noise)
        expected = theirs(h, torch.ones(1, 1, n_ids), g=g, reverse=True, noise_scale=0.8)[0, 0]
    with torch.inference_mode():
        got = StochasticDurations(theirs)(h[0].t(), noise[0].t() * 0.8, None if g is None else g.mT)
    assert torch.allclose(got, expected, atol=2e-4)
    assert n_ids == 1 or got.std() > 0.01


@pytest.mark.parametrize("speaker", [0, 5])
def test_plain_durations(speaker: int) -> None:
    theirs = randomised(DurationPredictor(HIDDEN, 24, 3, 0.5, cond_channels=speaker))
    h = torch.randn(1, HIDDEN, 30)
    g = torch.randn(1, speaker, 1) if speaker else None
    with torch.inference_mode():
        expected = theirs(h, torch.ones(1, 1, 30), g=g)[0, 0]
        got = Durations(theirs)(h[0].t(), torch.empty(0), None if g is None else g.mT)
    assert torch.allclose(got, expected, atol=1e-5)


def test_spline_inside_and_beyond_its_bound() -> None:
    y = torch.cat([torch.linspace(-7, 7, 301), torch.tensor([-5.0, 5.0])])
    params = torch.randn(len(y), 29)
    expected, _ = piecewise_rational_quadratic_transform(
        y.clone(), params[:, :10].clone(), params[:, 10:20].clone(), params[:, 20:].clone(),
        inverse=True, tails="linear", tail_bound=5.0,
    )  # fmt: skip
    got = inverse_spline(y, params, 10, 5.0)
    assert torch.allclose(got, expected, atol=1e-4)
    assert torch.equal(got[y.abs() > 5], y[y.abs() > 5])
