"""`sigra.frozen`: quick to make, and a frozen dataclass in all else."""

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from sigra.frozen import quick
from sigra.models import Identity, User


@dataclass(frozen=True, slots=True)
class Usual:
    """A point with a name."""

    x: int
    y: int = 2
    tags: tuple[str, ...] = field(default_factory=tuple, repr=False)


@quick
@dataclass(frozen=True, slots=True)
class Point:
    """A point with a name."""

    x: int
    y: int = 2
    tags: tuple[str, ...] = field(default_factory=tuple, repr=False)


@pytest.mark.parametrize("given", [((1,), {}), ((1, 3), {}), ((1, 3, ("a",)), {}), ((), {"x": 1, "tags": ("b",)})])
def test_it_is_made_of_what_the_usual_one_is_made_of(given):
    values, named = given
    quickly, usual = Point(*values, **named), Usual(*values, **named)

    assert type(quickly) is Point
    assert [getattr(quickly, one.name) for one in fields(Point)] == [getattr(usual, one.name) for one in fields(Usual)]
    assert repr(quickly) == repr(usual).replace("Usual", "Point")


def test_it_is_compared_hashed_and_copied_by_its_values():
    one, same, other = Point(1, 2), Point(1, 2), Point(1, 3)

    assert one == same != other
    assert len({one, same, other}) == 2
    assert replace(one, y=3) == copy.deepcopy(other) == pickle.loads(pickle.dumps(other)) == other


@pytest.mark.parametrize("change", [lambda it: setattr(it, "x", 5), lambda it: delattr(it, "x")])
def test_hc50_nothing_of_it_can_be_changed(change):
    point = Point(1)

    with pytest.raises(FrozenInstanceError):
        change(point)
    with pytest.raises((AttributeError, TypeError)):
        point.z = 1

    assert point == Point(1)


@pytest.mark.parametrize("values", [((), {}), ((1, 2, (), 4), {}), ((1,), {"z": 1}), ((1,), {"x": 1})])
def test_what_does_not_fit_is_refused(values):
    given, named = values
    with pytest.raises(TypeError, match="__init__"):
        Point(*given, **named)


def test_its_signature_is_that_of_its_fields():
    usual, quickly = inspect.signature(Usual), inspect.signature(Point)

    assert list(quickly.parameters) == list(usual.parameters)
    assert [one.annotation for one in quickly.parameters.values()] == [
        one.annotation for one in usual.parameters.values()
    ]
    assert quickly.parameters["y"].default == 2


@pytest.mark.parametrize("body", [{}, {"__slots__": ()}, {"__slots__": ("z",)}])
def test_it_has_no_subclasses_which_would_make_what_they_are_not(body):
    with pytest.raises(TypeError, match="Place cannot inherit from Point, which is final"):
        type("Place", (Point,), body)


@pytest.mark.parametrize("cls", [User, Identity])
def test_what_every_request_makes_is_made_so(cls):
    assert "become" in cls.__init__.__code__.co_names
