"""The contract of a plugin finds those who break it: one careless plugin a promise."""

import types
from dataclasses import dataclass
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, ForeignKey, Integer, Table, Uuid
from starlette.responses import PlainTextResponse

from sigra import Event, Refused, Route, hookimpl
from sigra.db import Digest, user_ref
from sigra.testing import PluginContract, create_tables

# This module is one that brings an event and an error; `Undeclared` says so and forgets to list them.


@dataclass(frozen=True, kw_only=True)
class Rung(Event):
    name: ClassVar[str] = "bell.rung"


class Silent(Refused):
    code = "bell_silent"


class Bell:
    """Keeps every promise; the others break one."""

    name = "bell"
    api = 1
    events = (Rung,)
    errors = (Silent,)


class Undeclared:
    name = "bell"
    api = 1


class Misnamed(Bell):
    name = "gong"


class FailsByError(Bell):
    errors = (type("ServerError", (Refused,), {"code": "bell_broken", "status": 500}),)


class OldABI(Bell):
    api = 0


class WithTable(Bell):
    def column(self):
        raise NotImplementedError

    @hookimpl
    def register_tables(self, metadata):
        return [Table("sigra_bell", metadata, Column("id", Integer, primary_key=True), self.column())]


class Unreferenced(WithTable):
    def column(self):
        return Column("user_id", Uuid)


class Orphaning(WithTable):
    def column(self):
        return Column("owner", Uuid, ForeignKey("sigra_users.id", ondelete="SET NULL"))


class Keeping(WithTable):
    def column(self):
        return user_ref()


class Erasing(Keeping):
    @hookimpl
    async def erase_user(self, tx, user):
        raise NotImplementedError


class Rising(WithTable):
    def column(self):
        return Column("digest", Digest, unique=True)


class Buried(Rising):
    @hookimpl
    async def end_restored(self, tx):
        raise NotImplementedError


class Renewing(Bell):
    @hookimpl
    async def renew_session(self):
        raise NotImplementedError


class Telling(Renewing):
    @hookimpl
    async def identity_of_session(self):
        raise NotImplementedError


class Exporting(Bell):
    held: ClassVar[object] = ()

    @hookimpl
    async def export_user(self, user):
        return self.held


class Boasting(Exporting):
    held: ClassVar[object] = types.MappingProxyType({"account": {}})


class Unspeakable(Exporting):
    held: ClassVar[object] = types.MappingProxyType({"bell": {1: "a number is no name"}})


class Squatter(Bell):
    @hookimpl
    def register_tables(self, metadata):
        return [Table("sigra_bellows", metadata, Column("id", Integer, primary_key=True))]


class WithRoute(Bell):
    @hookimpl
    def register_routes(self):
        return [Route("/bell/{id:int}", self.ring, methods=["POST"], cross_origin=True, any_identity=True)]

    async def ring(self, request):
        raise NotImplementedError


class Crashing(WithRoute):
    async def ring(self, request):
        return PlainTextResponse((await request.json())["tone"])


class Mumbling(WithRoute):
    async def ring(self, request):
        return PlainTextResponse("no", 400)


class Mounted(WithRoute):
    @hookimpl
    def register_routes(self):
        return [Route("/auth/bell", self.ring, methods=["GET"])]


class Lax(Bell):
    class Settings(BaseModel):
        model_config = ConfigDict(extra="allow")

    def __init__(self, **settings):
        self.settings = self.Settings(**settings)


class SharedByClass(Bell):
    rings: ClassVar[list[str]] = []


REGISTRY: dict[str, str] = {}


class SharedByModule(Bell):
    def __init__(self):
        self.rings = REGISTRY


class Clinging(Bell):
    @hookimpl
    def register_tables(self, metadata):
        return [Table("sigra_bell", metadata, Column("user_id", Uuid, ForeignKey("sigra_users.id"), primary_key=True))]


def contract(cls):
    """The contract of a plugin."""
    return type("Contract", (PluginContract,), {"plugin": cls})()


@pytest.fixture
async def auth_of(sigra_database_url, sigra_clock):
    """`await auth_of(cls)`: the fixture `auth` of a contract."""
    opened = []

    async def build(cls):
        auth = contract(cls).build(sigra_database_url, sigra_clock, "defaults")
        await create_tables(auth)
        opened.append(auth)
        return auth

    yield build
    for auth in opened:
        await auth.aclose()


def test_what_is_brought_and_not_declared_is_found():
    contract(Bell).test_what_its_module_brings_is_declared()

    with pytest.raises(AssertionError):
        contract(Undeclared).test_what_its_module_brings_is_declared()


@pytest.mark.parametrize("cls", [Misnamed, FailsByError])
def test_events_and_errors_under_a_foreign_name_are_found(cls):
    contract(Bell).test_its_events_and_errors_are_named_after_it()

    with pytest.raises(AssertionError):
        contract(cls).test_its_events_and_errors_are_named_after_it()


def test_another_abi_is_found():
    contract(Bell).test_it_has_a_name_and_an_abi()

    with pytest.raises(AssertionError):
        contract(OldABI).test_it_has_a_name_and_an_abi()


@pytest.mark.parametrize("cls", [Unreferenced, Orphaning, Clinging])
async def test_rows_that_outlive_their_user_are_found(auth_of, cls):
    with pytest.raises(AssertionError, match="sigra_bell"):
        await contract(cls).test_rows_of_a_user_go_with_the_user(await auth_of(cls))


async def test_rows_that_outlive_an_erasure_are_found(auth_of):
    await contract(Erasing).test_rows_of_a_user_can_be_erased_while_the_account_stays(await auth_of(Erasing))

    with pytest.raises(AssertionError, match="sigra_bell"):
        await contract(Keeping).test_rows_of_a_user_can_be_erased_while_the_account_stays(await auth_of(Keeping))


async def test_hc24_secrets_that_an_old_backup_brings_back_are_found(auth_of):
    await contract(Buried).test_what_it_issued_can_be_ended_after_a_backup_was_restored(await auth_of(Buried))

    with pytest.raises(AssertionError, match="sigra_bell"):
        await contract(Rising).test_what_it_issued_can_be_ended_after_a_backup_was_restored(await auth_of(Rising))


async def test_hc32_sessions_of_which_nobody_says_whether_they_live_are_found(auth_of):
    await contract(Telling).test_who_carries_sessions_says_whether_one_lives(await auth_of(Telling))

    with pytest.raises(AssertionError, match="identity_of_session"):
        await contract(Renewing).test_who_carries_sessions_says_whether_one_lives(await auth_of(Renewing))


@pytest.mark.parametrize("cls", [Boasting, Unspeakable])
async def test_an_export_that_is_not_the_plugins_own_or_no_json_is_found(auth_of, cls):
    with pytest.raises((AssertionError, TypeError)):
        await contract(cls).test_what_it_exports_is_named_after_it(await auth_of(cls))


async def test_a_table_that_could_be_another_plugins_is_found(auth_of):
    with pytest.raises(AssertionError, match="sigra_bellows"):
        await contract(Squatter).test_its_tables_are_named_after_it(await auth_of(Squatter))


async def test_a_path_with_the_mount_path_is_found(auth_of):
    with pytest.raises(AssertionError):
        await contract(Mounted).test_its_routes_are_below_the_mount_path(await auth_of(Mounted))


@pytest.mark.parametrize(("cls", "what"), [(Crashing, "500"), (Mumbling, "no problem")])
@pytest.mark.parametrize("who", ["nobody", "a_program", "a_person"])
async def test_answers_that_are_no_problems_are_found(auth_of, cls, what, who):
    with pytest.raises(AssertionError, match=what):
        await getattr(contract(cls), f"test_its_routes_answer_nonsense_from_{who}")(await auth_of(cls))


async def test_options_that_take_anything_are_found(sigra_database_url, sigra_clock):
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await contract(Lax).test_its_options_refuse_what_they_do_not_know(sigra_database_url, sigra_clock)


@pytest.mark.parametrize("cls", [SharedByClass, SharedByModule])
async def test_state_that_two_installations_share_is_found(tmp_path, sigra_clock, cls):
    await contract(Bell).test_two_of_it_share_nothing(tmp_path, sigra_clock)

    with pytest.raises(AssertionError, match="rings"):
        await contract(cls).test_two_of_it_share_nothing(tmp_path, sigra_clock)
