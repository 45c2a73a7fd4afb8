"""What the mailbox is told of accounts of providers."""

from __future__ import annotations

import pytest

from sigra.testing import FrozenClock, make_user
from tests.oauth.cases import ADA, installed, mails, says
from tests.oauth.dancing import dance
from tests.oauth.hostile import Hostile


@pytest.mark.parametrize(
    ("locale", "subjects"),
    [
        ("en", ("A new way to sign in", "A way to sign in was removed")),
        ("de", ("Eine neue Möglichkeit, sich anzumelden", "Eine Möglichkeit, sich anzumelden, wurde entfernt")),
    ],
    ids=["English", "German"],
)
async def test_the_owner_is_told_what_is_linked_and_what_is_not_any_more(
    database: str, clock: FrozenClock, provider: Hostile, locale: str, subjects: tuple[str, str]
) -> None:
    """The provider's label is the operator's word; no address and no name of the account there is said."""
    async with installed(database, clock, provider, entries={"label": "Work & Co"}) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.patch("/auth/account", json={"locale": locale})
        says(provider, "sub-of-ada", "another@example.org", name="Somebody Else")
        await dance(client, intent="link")
        [identity] = (await client.get("/auth/identities")).json()["identities"]
        await client.delete(f"/auth/identities/{identity['id']}")
        box = await mails(client)

    told = {message.kind: message for message in box.messages}
    assert (told["identity_linked"].subject, told["identity_unlinked"].subject) == subjects
    assert [message.recipient for message in box.messages] == [ADA, ADA]
    for message in box.messages:
        assert "Work & Co" in message.text
        assert "Work &amp; Co" in message.html
        assert not any(word in message.text for word in ("another@example.org", "Somebody Else", "sub-of-ada"))
