"""Registering adapters."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest

from snakepit_worker import adapters
from snakepit_worker.values import Packer, Unpacker, Unserializable, WireValueError

packer = Packer()
unpacker = Unpacker(lambda *parts: parts, lambda number: number)


class Money:
    def __init__(self, amount: int, currency: str) -> None:
        self.amount = amount
        self.currency = currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and (self.amount, self.currency) == (other.amount, other.currency)

    __hash__ = None  # type: ignore[assignment]


class Cash(Money):
    pass


class Coins(Money):
    pass


def encode_money(value: object) -> object:
    assert isinstance(value, Money)
    return (value.amount, value.currency)


def decode_money(payload: object) -> object:
    assert isinstance(payload, tuple)
    return Money(*payload)


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(adapters, "_kinds", {})
    monkeypatch.setattr(adapters, "_decoders", {})
    monkeypatch.setattr(adapters, "_by_kind", {})
    for forget in adapters._watchers:
        forget()
    yield
    monkeypatch.undo()
    for forget in adapters._watchers:
        forget()


def test_objects_of_a_registered_class_and_its_subclasses_cross() -> None:
    with pytest.raises(Unserializable, match="register an adapter"):
        packer.pack_value(Money(1, "EUR"))
    adapters.register("money", Money, encode_money, decode_money)
    assert unpacker.unpack(packer.pack_value([Money(1, "EUR"), {"cash": Cash(2, "USD")}])) == [
        Money(1, "EUR"),
        {"cash": Money(2, "USD")},
    ]


def test_the_nearest_adapter_of_a_class_is_used() -> None:
    adapters.register("money", Money, encode_money, decode_money)
    adapters.register("cash", Cash, encode_money, lambda payload: ("cash", payload))
    assert unpacker.unpack(packer.pack_value(Cash(2, "USD"))) == ("cash", (2, "USD"))
    assert unpacker.unpack(packer.pack_value(Coins(2, "USD"))) == Money(2, "USD")


def test_an_adapter_comes_before_the_rules_of_the_value_table() -> None:
    class Percent(float):
        pass

    assert unpacker.unpack(packer.pack_value(Percent(0.5))) == 0.5
    adapters.register("percent", Percent, lambda value: float(value), lambda payload: ("percent", payload))
    assert unpacker.unpack(packer.pack_value(Percent(0.5))) == ("percent", 0.5)


def test_a_library_class_can_have_an_adapter() -> None:
    adapters.register(
        "fraction",
        Fraction,
        lambda value: [value.numerator, value.denominator],
        lambda payload: Fraction(*payload),
    )
    assert unpacker.unpack(packer.pack_value({1: Fraction(1, 3)})) == {1: Fraction(1, 3)}


def test_registering_again_replaces_the_adapter() -> None:
    adapters.register("money", Money, encode_money, decode_money)
    adapters.register("money", Money, encode_money, lambda payload: ("again", payload))
    assert unpacker.unpack(packer.pack_value(Money(1, "EUR"))) == ("again", (1, "EUR"))


def test_names_and_classes_are_taken_once() -> None:
    adapters.register("money", Money, encode_money, decode_money)
    with pytest.raises(ValueError, match="name 'money' is taken"):
        adapters.register("money", Fraction, encode_money, decode_money)
    with pytest.raises(ValueError, match="through the adapter 'money'"):
        adapters.register("cash", Money, encode_money, decode_money)
    with pytest.raises(ValueError, match="'tensor' is taken by snakepit"):
        adapters.register("tensor", Money, encode_money, decode_money)


@pytest.mark.parametrize("kind", [dict, str, object, bool, type(None)])
def test_classes_that_cross_as_they_are_cannot_have_an_adapter(kind: type) -> None:
    with pytest.raises(TypeError, match="crosses as it is"):
        adapters.register("x", kind, encode_money, decode_money)


def test_only_classes_can_have_an_adapter() -> None:
    with pytest.raises(TypeError, match="needs a class"):
        adapters.register("x", Money(1, "EUR"), encode_money, decode_money)  # type: ignore[arg-type]


def test_what_an_adapter_raises_is_the_reason() -> None:
    def fail(_value: object) -> object:
        raise RuntimeError("out of change")

    adapters.register("money", Money, fail, fail)
    with pytest.raises(Unserializable) as refused:
        packer.pack_value([Money(1, "EUR")])
    assert refused.value.path == "result[0]"
    assert "RuntimeError: out of change" in refused.value.reason

    adapters.register("money", Money, encode_money, fail)
    with pytest.raises(WireValueError) as unreadable:
        unpacker.unpack(packer.pack_value([Money(1, "EUR")]))
    assert unreadable.value.path == "[0]"
    assert "RuntimeError: out of change" in unreadable.value.actual


def test_a_payload_that_cannot_cross_is_found_inside_the_object() -> None:
    adapters.register("money", Money, lambda value: [1, print], decode_money)
    with pytest.raises(Unserializable) as refused:
        packer.pack_value({"m": Money(1, "EUR")})
    assert refused.value.path == "result.m[1]"


def test_a_name_that_nobody_registered_lists_those_that_are() -> None:
    adapters.register("money", Money, encode_money, decode_money)
    frame = packer.pack_value(Money(1, "EUR")).replace(b"money", b"monet")
    with pytest.raises(WireValueError, match=r"no adapter called 'monet' .*arrow, device, money, tensor"):
        unpacker.unpack(frame)
