"""Under the grants of `sigra db harden` everything works, and the application can change no row of the record."""

import uuid
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from sigra import Sigra
from sigra.cli.doctor import rights
from sigra.cli.shell import Shell
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, migrate
from sigra_audit import Audit
from sigra_audit.retention import is_denied
from sigra_audit.verifying import Tampered
from tests.apps import Postbox, application

servers = pytest.mark.databases("postgresql", "mariadb")
SECRET = "a-password-of-the-role"
NEW = "another long password of ada"


def hardened(url, role):
    """What `sigra db harden` prints."""
    settings = {
        "SIGRA_SECRET_KEYS": "a key for tests that everybody knows",
        "SIGRA_BASE_URL": "http://localhost",
        "SIGRA_PLUGINS": "defaults,audit",
        "SIGRA_DATABASE_URL": url,
    }
    result = CliRunner().invoke(Shell(), ["db", "harden", "--role", role], env=settings)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@asynccontextmanager
async def owned(database, clock):
    """The installation as the owner of its tables has it, and the URL of a role with the grants."""
    url = make_url(database)
    role, mariadb = f"app_{uuid.uuid4().hex[:12]}", url.get_backend_name() == "mariadb"
    who = f"'{role}'@'%'" if mariadb else role
    owner = Sigra(cheap_settings(database), ["defaults", Postbox(), Audit()], clock=clock)
    await migrate(owner)
    made = f"CREATE USER {who} IDENTIFIED BY '{SECRET}'" if mariadb else f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'"
    async with owner:
        for statement in (made, *hardened(database, role)):
            await owner.db.transaction(lambda tx, said=statement: tx.execute(text(said.rstrip(";"))))
        yield owner, url.set(username=role, password=SECRET).render_as_string(hide_password=False)
        away = [f"DROP USER {who}"] if mariadb else [f"DROP OWNED BY {role}", f"DROP ROLE {role}"]
        for statement in away:
            await owner.db.transaction(lambda tx, said=statement: tx.execute(text(said)))


@asynccontextmanager
async def applied(url, clock):
    """The application under the grants."""
    postbox, audit = Postbox(), Audit(seal_after=timedelta(seconds=30))
    async with (
        Sigra(cheap_settings(url), ["defaults", postbox, audit], clock=clock) as auth,
        Client(auth.wrap(application), auth) as client,
    ):
        yield client, postbox, audit


async def story(client, postbox):
    """Sign up, prove the address, sign in, change the password, make a key, sign out, reset, close the account."""
    work = client.sigra.worker.work
    statuses = [await client.post("/auth/signup", json={"email": "ada@example.com", "password": PASSWORD})]
    await work()
    statuses.append(await client.post("/auth/email/verify", json={"token": postbox.token()}))
    statuses.append(await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD}))
    statuses.append(await client.get("/auth/audit/events"))
    change = {"current_password": PASSWORD, "new_password": NEW}
    statuses.append(await client.post("/auth/password/change", json=change))
    statuses.append(await client.post("/auth/api-keys", json={"name": "a", "scopes": []}))
    statuses.append(await client.post("/auth/logout"))
    statuses.append(await client.post("/auth/login", json={"email": "ada@example.com", "password": "wrong"}))
    statuses.append(await client.post("/auth/password/forgot", json={"email": "ada@example.com"}))
    await work()
    statuses.append(
        await client.post("/auth/password/reset", json={"token": postbox.token(), "new_password": PASSWORD})
    )
    statuses.append(await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD}))
    statuses.append(await client.get("/auth/account/export"))
    statuses.append(await client.delete("/auth/account"))
    await work()
    return [answer.status_code for answer in statuses]


@servers
async def test_everything_works_under_the_grants(database):
    clock = FrozenClock()
    async with owned(database, clock) as (_, url), applied(url, clock) as (client, postbox, audit):
        statuses = await story(client, postbox)
        await audit.sealer.seal()

        assert [status for status in statuses if status >= 500] == []
        assert statuses.count(401) == 1
        assert (await audit.verifier.verify()).count > 12
        assert await rights.findings(client.sigra) == []


@servers
@pytest.mark.parametrize("place", ["sigra_audit", "sigra_audit_seals", "sigra_audit_anchors"])
async def test_hc22_the_application_can_neither_change_nor_delete_what_it_recorded(database, place):
    clock = FrozenClock()
    async with owned(database, clock) as (_, url), applied(url, clock) as (client, postbox, audit):
        await story(client, postbox)
        await audit.sealer.seal()
        table = client.sigra.metadata.tables[place]
        truncate = text(f"TRUNCATE TABLE {place}")

        for statement in (delete(table), update(table).values(mac=bytes(32)), truncate):
            with pytest.raises(DBAPIError) as refused:
                await client.sigra.db.transaction(lambda tx, said=statement: tx.execute(said))
            assert is_denied(refused.value)
        assert await audit.verifier.verify()


@servers
async def test_the_retention_job_leaves_to_the_owner_what_the_application_may_not_do(database):
    clock = FrozenClock()
    async with owned(database, clock) as (owner, url), applied(url, clock) as (client, postbox, audit):
        await story(client, postbox)
        await audit.sealer.seal()
        before = (await audit.verifier.verify()).count
        clock.tick(timedelta(days=366))
        await client.sigra.worker.work()
        await audit.sealer.seal()
        kept = (await audit.verifier.verify()).start.position
        pruned = await owner.plugin(Audit).retention.prune()

        assert kept == 0
        assert pruned >= before - 1
        assert (await audit.verifier.verify()).start.position == pruned


@servers
async def test_the_doctor_says_when_the_application_could_change_the_record(database):
    async with owned(database, FrozenClock()) as (owner, _):
        findings = await rights.findings(owner)

        assert [one.subject for one in findings] == ["sigra_audit", "sigra_audit_seals", "sigra_audit_anchors"]
        assert "sigra db harden" in findings[0].cure


@servers
async def test_a_row_that_the_application_inserts_by_hand_is_found(database):
    clock = FrozenClock()
    async with owned(database, clock) as (_, url), applied(url, clock) as (client, postbox, audit):
        await story(client, postbox)
        await audit.sealer.seal()
        copied = "INSERT INTO sigra_audit SELECT {} FROM sigra_audit ORDER BY id LIMIT 1"
        columns = [column.name for column in audit.tables.entries.columns if column.name != "id"]
        new = f"'{audit.ids.new()}'" if "postgresql" in url else f"'{audit.ids.new().hex}'"
        statement = copied.format(", ".join([new, *columns]))
        await client.sigra.db.transaction(lambda tx: tx.exec_driver_sql(statement))

        with pytest.raises(Tampered, match="inserted or edited"):
            await audit.verifier.verify()
