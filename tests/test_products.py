"""Products and convolutions made of them give torch's own numbers, packed or not."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv1d

from voicesvc import products
from voicesvc.products import (
    Int8Product,
    LongProduct,
    Product,
    TappedConv,
    TiledConv,
    passing,
    rows_for,
    same_conv,
    toom_cook,
)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


@pytest.fixture(params=["as it is here", "torch's own"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with the products of this machine, and with those of one without AVX-512."""
    if request.param == "torch's own":
        monkeypatch.setattr(products, "_onednn", lambda: False)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("rows", [1, 7, 64, 300])
def test_product(rows: int) -> None:
    x, weight, bias, other = drawn(rows, 24), drawn(40, 24), drawn(40), drawn(rows, 40)
    expected = x.double() @ weight.t().double()
    assert torch.allclose(Product(weight)(x).double(), expected, atol=1e-5)
    with_bias = Product(weight.t().contiguous().t(), bias)
    assert torch.allclose(with_bias(x).double(), expected + bias, atol=1e-5)
    assert torch.allclose(with_bias.plus(x, other).double(), expected + bias + other, atol=1e-5)
    assert with_bias(x.view(1, rows, 24)).shape == (1, rows, 40)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_a_product_in_int8_is_near_and_a_row_of_it_depends_on_nothing_else(rows: int) -> None:
    x, weight, bias, other = drawn(rows, 96), drawn(40, 96), drawn(40), drawn(rows, 40)
    x[0] *= 100.0  # a loud row leaves the others as they are
    rounded, exact = Int8Product(weight, bias), Product(weight, bias)
    off = (rounded(x) - exact(x)).norm(dim=1) / exact(x).norm(dim=1)
    assert 1e-3 < off.max() < 2e-2
    assert torch.equal(rounded.plus(x, other), rounded(x) + other)
    assert all(torch.equal(rounded(x[i : i + 1])[0], rounded(x)[i]) for i in range(rows))
    assert rounded.weight.nbytes == weight.nbytes // 4
    assert torch.equal(rounded(torch.zeros(1, 96))[0], bias)


@pytest.mark.parametrize("rows", [3, 300])
def test_product_of_passing_matrices(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, other = drawn(rows, 24), drawn(24, rows).t(), drawn(rows, rows)
    expected = a.double() @ b.t().double()
    for slow in (False, products._onednn()):
        monkeypatch.setattr(products, "_mkl_is_slow", lambda slow=slow: slow)
        assert torch.allclose(passing(a, b).double(), expected, atol=1e-5)
        assert torch.allclose(passing(a, b, other).double(), expected + other, atol=1e-5)


@pytest.mark.parametrize("mkl_is_slow", [False, True])
@pytest.mark.usefixtures("processor")
def test_long_products_and_convolutions_are_added_in_place(
    mkl_is_slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_mkl_is_slow", lambda: mkl_is_slow)
    x, weight, bias, total = drawn(48, 24), drawn(40, 24), drawn(40), drawn(48, 40)
    expected = x.double() @ weight.t().double()
    for b in (None, bias):
        product, plus = LongProduct(weight, b), 0 if b is None else b
        assert torch.allclose(product(x).double(), expected + plus, atol=1e-5)
        y = total.clone()
        assert product.add_to(y, x) is y
        assert torch.allclose(y.double(), expected + plus + total, atol=1e-5)
    kernel = drawn(40, 24, 3) / 8
    expected = conv1d(x.t()[None].double(), kernel.double(), bias.double(), padding=1)[0].t()
    for form in (TappedConv, TiledConv):
        conv, y = form(kernel, bias), total.clone()
        room = conv.room(48, 48)
        room[1:49] = x
        assert conv.add_to(y, room) is y
        assert torch.allclose(y.double(), expected + total, atol=2e-5)


@pytest.mark.parametrize("points", [(0.0, 1.0, -1.0), (0.0, 1.0, -1.0, 0.5, -2.0)])
def test_toom_cook_is_a_correlation(points: tuple[float, ...]) -> None:
    inputs, weights, sums = toom_cook(points, 3)
    x, w = drawn(len(points) + 1).double(), drawn(3).double()
    assert torch.allclose(sums @ ((weights @ w) * (inputs @ x)), x.unfold(0, 3, 1) @ w, atol=1e-12)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("form", [TappedConv, TiledConv])
@pytest.mark.parametrize("t", [1, 2, 3, 4, 5, 8, 31, 130])
def test_same_length_convolutions(form: type[TappedConv] | type[TiledConv], t: int) -> None:
    x, weight, bias = drawn(t, 24), drawn(32, 24, 3) / 8, drawn(32)
    weight_2, bias_2 = drawn(16, 32, 3) / 8, drawn(16)
    first, second = form(weight, bias), form(weight_2, bias_2)
    room, following = first.room(rows_for(t), t), second.room(rows_for(t), t)
    room[1 : 1 + t] = x
    expected = conv1d(x.t()[None].double(), weight.double(), bias.double(), padding=1)
    assert torch.allclose(first(room)[:t].double(), expected[0].t(), atol=2e-5)
    first.relu(room, t, following)
    expected = conv1d(expected.relu(), weight_2.double(), bias_2.double(), padding=1)
    assert torch.allclose(second(following)[:t].double(), expected[0].t(), atol=4e-5)


def test_a_tiled_convolution_rounds_little_more_than_a_plain_one() -> None:
    x, weight, bias = drawn(256, 192), drawn(64, 192, 3) / 24, drawn(64)
    exact = conv1d(x.t()[None].double(), weight.double(), bias.double(), padding=1)[0].t()
    error = {}
    for form in (TappedConv, TiledConv):
        conv = form(weight, bias)
        room = conv.room(256, 256)
        room[1:257] = x
        error[form] = float((conv(room) - exact).square().mean().sqrt())
    assert error[TiledConv] < 5 * error[TappedConv] < 1e-5


def test_any_odd_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    x, bias = drawn(20, 8), drawn(6)
    for kernel in (1, 3, 5):
        weight = drawn(6, 8, kernel)
        conv = same_conv(weight, bias)
        room = conv.room(rows_for(20), 20)
        room[conv.pad : conv.pad + 20] = x
        expected = conv1d(x.t()[None], weight, bias, padding=kernel // 2)[0].t()
        assert torch.allclose(conv(room)[:20], expected, atol=2e-5)
    with pytest.raises(ValueError, match="odd"):
        same_conv(drawn(6, 8, 4), bias)
    monkeypatch.setattr(products, "_onednn", lambda: False)
    assert isinstance(same_conv(drawn(6, 8, 3), bias), TappedConv)
