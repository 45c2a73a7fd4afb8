"""Two strangers' plugins, built as wheels and put on the path as an installation would, without a network."""

import importlib
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from sigra import Settings, Sigra
from sigra.testing import FrozenClock, cheap_settings, create_tables, make_user
from tests.distributions.ways import House, badge_of

HERE = Path(__file__).parent
DISTRIBUTIONS = ("sigra-badge", "sigra-careless")

# Their own tests run where they are installed.
collect_ignore = list(DISTRIBUTIONS)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each distribution's wheel, built from its sources and unpacked, which is what installing one means."""
    return {name: unpack(HERE / name, tmp_path_factory.mktemp(name)) for name in DISTRIBUTIONS}


def unpack(source: Path, target: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target / "wheel")]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = (target / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target / "site")
    return target / "site"


@pytest.fixture
def uninstall(unpacked: dict[str, Path]) -> Callable[..., None]:
    """`uninstall("sigra-badge")`: from the path, and from what was imported."""

    def take(*names: str) -> None:
        sys.path[:] = [path for path in sys.path if path not in {str(unpacked[name]) for name in names}]
        for module in [one for one in sys.modules if one.partition(".")[0] in {n.replace("-", "_") for n in names}]:
            del sys.modules[module]

    return take


@pytest.fixture
def install(unpacked: dict[str, Path], uninstall: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """`install("sigra-badge")` in this process, until the test ends."""

    def put(*names: str) -> None:
        # A test of another room may have left a module of that name.
        uninstall(*names)
        sys.path[:0] = [str(unpacked[name]) for name in names]
        importlib.invalidate_caches()

    yield put
    uninstall(*DISTRIBUTIONS)


@pytest.fixture
async def house(
    install: Callable[..., None], sigra_settings: Settings, sigra_clock: FrozenClock
) -> AsyncIterator[Callable[..., Awaitable[House]]]:
    """`await house(*policies)`: the built-ins, both strangers and the policies, and one user with every proof."""
    install("sigra-badge", "sigra-careless")
    async with AsyncExitStack() as stack:

        async def build(*plugins: Any, **options: Any) -> House:
            options = {"database_url": sigra_settings.database_url.get_secret_value(), **options}
            settings = cheap_settings(**options)
            auth = Sigra(settings, ["defaults", "badge", "careless", *plugins], clock=sigra_clock)
            await create_tables(auth)
            await stack.enter_async_context(auth)
            user = await make_user(auth)
            await badge_of(auth).issue(auth, user, "4711", "2468")
            return House(auth, user)

        yield build
