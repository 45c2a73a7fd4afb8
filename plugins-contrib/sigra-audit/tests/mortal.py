"""Workers that are killed while they sign people in: `python mortal.py URL KILLS MIDDLE SEED`.

One process imports everything once and forks a worker for each kill. A worker signs in, makes accounts and changes
passwords until it is killed: by its own hand right before a statement or a commit of a transaction that has begun
(MIDDLE of them), or from outside after a random time. Prints as JSON how many died where.
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
import traceback
from datetime import timedelta

from sqlalchemy import event
from starlette.applications import Starlette

from sigra import Sigra
from sigra.testing import PASSWORD, Client, cheap_settings, make_user
from sigra_audit import Audit

OTHER = f"{PASSWORD}!"
SIGNS_IN, CHANGES = "ada@example.com", "bob@example.com"


def settings(url):
    return cheap_settings(url)


def plugins():
    return ["defaults", Audit(seal_after=timedelta(milliseconds=20))]


def note(text):
    os.write(1, text.encode())


def die_within(auth, nth):
    """Die before the nth statement or commit of those that follow the first statement of a transaction."""
    left, begun = [nth], [False]

    def begin(*_):
        begun[0] = False

    def before(*_):
        if begun[0]:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        begun[0] = True

    engine = auth.db._engine.sync_engine
    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", before)


async def change_password(client):
    """From the one to the other, whichever a killed worker has left."""
    for password, new in ((PASSWORD, OTHER), (OTHER, PASSWORD)):
        await client.post("/auth/login", json={"email": CHANGES, "password": password})
        await client.post("/auth/password/change", json={"current_password": password, "new_password": new})


async def work(url, dice, nth, begins):
    async with Sigra(settings(url), plugins()) as auth:
        if nth:
            die_within(auth, nth)
        async with Client(auth.wrap(Starlette()), auth) as client:
            os.write(begins, b".")
            while True:
                kind = dice.random()
                if kind < 0.6:
                    await client.post("/auth/login", json={"email": SIGNS_IN, "password": PASSWORD})
                elif kind < 0.7:
                    await client.post("/auth/login", json={"email": SIGNS_IN, "password": "wrong"})
                elif kind < 0.85:
                    await make_user(auth, f"{dice.getrandbits(64):x}@example.com", None)
                else:
                    await change_password(client)
                client.cookies.clear()


def child(url, seed, nth, begins):
    logging.disable(logging.CRITICAL)
    asyncio.run(work(url, random.Random(seed), nth, begins))


def killed(url, seed, middle, dice):
    """Fork a worker and have it die; whether it did so by a signal."""
    nth = dice.randint(1, 60) if middle else 0
    begun, begins = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child(url, seed, nth, begins)
        except BaseException:  # noqa: BLE001  (told, and the process ends)
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(begins)
    os.read(begun, 1)
    os.close(begun)
    if not middle:
        time.sleep(dice.uniform(0, 0.3))
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main(url, kills, middle, seed):
    Sigra(settings(url), plugins())  # imports all plugins, once for all workers
    dice = random.Random(seed)
    within = sum(killed(url, dice.getrandbits(32), True, dice) for _ in range(middle))
    outside = sum(killed(url, dice.getrandbits(32), False, dice) for _ in range(kills - middle))
    note(json.dumps({"within": within, "outside": outside}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
