"""No row holds a secret: every flow is driven, and every secret that was seen is looked for in all rows."""

import re

from sigra.testing import PASSWORD, make_api_key
from tests.policies import Factor

NEW = "another long password of ada"
PLANTED = f"sigra_sk_{'a' * 49}"
# Eight digits are a code, but not at the beginning of a UUID, where any time may put them.
UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SECRETS = re.compile(r"[A-Za-z0-9_-]{43,}|sigra_sk_[A-Za-z0-9_-]+|\b[0-9]{8}\b")


def seen(texts):
    """What looks like a secret in what went over the wire or by mail."""
    return {found for text in texts for found in SECRETS.findall(UUID.sub("", text))}


async def test_hc21_no_row_holds_a_secret_of_any_flow(room, database):
    async with room(database, Factor()) as here:
        client, wire, work = here.client, [], here.auth.worker.work

        async def post(path, method="POST", **body):
            answer = await client.request(method, f"/auth{path}", json=body)
            wire.extend([answer.text, str(body), str(answer.headers), *map(str, client.cookies.jar)])
            assert answer.status_code < 500, answer.text
            return answer

        async def sign_in(password):
            answer = await post("/login", email="ada@example.com", password=password)
            if answer.status_code == 202:
                await post("/login/factor", code="right", login_token=answer.json()["login_token"])

        def mailed(kind):
            [*_, text] = [message.text for message in here.postbox.messages if message.kind == kind]
            return re.search(r"#token=(\S{43})", text)[1]

        await post("/signup", email="ada@example.com", password=PASSWORD)
        await work()
        await post("/email/verify", token=here.postbox.token())
        await sign_in("a wrong password of somebody")
        await post("/login", email=PASSWORD, password=PASSWORD)  # typed into the wrong field
        await sign_in(PASSWORD)
        user = await here.auth.users.by_email("ada@example.com")
        wire.append(await make_api_key(here.auth, user))
        await post("/password/change", current_password=PASSWORD, new_password=NEW)
        await post("/email/change", new_email="lovelace@example.com")
        await work()
        await post("/email/change/confirm", token=mailed("confirm_new_email"))
        await post("/password/forgot", email="lovelace@example.com")
        await work()
        await post("/password/reset", token=mailed("reset_password"), new_password=PASSWORD)
        await post("/magic-link", email="lovelace@example.com")
        await work()
        await post("/magic-link/verify", token=mailed("magic_link"))
        await sign_in(PASSWORD)
        await post("/logout")
        client.headers["user-agent"] = f"agent {PLANTED}"
        await sign_in("wrong again")
        await here.seal()
        rows = "\n".join(map(repr, await here.rows()))
        mails = [message.text for message in here.postbox.messages]

        kept = {str(row["request_id"]) for row in await here.rows()}
        secrets = {one for one in seen([*wire, *mails]) if one not in kept} | {
            PASSWORD,
            NEW,
            "a wrong password",
            PLANTED,
        }
        assert len(secrets) > 10
        assert [one for one in secrets if one in rows] == []
        assert "ada@example.com" not in rows
        assert "lovelace" not in rows
        assert len(await here.rows()) > 12


async def test_hc22_no_column_can_be_presented_as_a_credential(room, database):
    async with room(database) as here:
        await here.client.post("/auth/login", json={"email": "ada@example.com", "password": "wrong"})
        await here.seal()
        for row in [*await here.rows(), *await here.rows("sigra_audit_seals")]:
            for value in row.values():
                text = value.hex() if isinstance(value, bytes) else str(value)
                answer = await here.client.get("/private", headers={"authorization": f"Bearer sigra_sk_{text[:60]}"})
                assert answer.status_code == 401
