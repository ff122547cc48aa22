"""One evening in a room with python-socketio's AsyncClient, over each transport."""

import asyncio
import unittest
import uuid

import socketio

from support import NAMESPACE, WAIT_S, Person, Server

TRANSPORTS = {"websocket only": ["websocket"], "polling only": ["polling"], "polling, then upgrade": ["polling", "websocket"]}


class Guest:
    def __init__(self):
        self.io = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        self.updates = asyncio.Queue()
        self.exceptions = asyncio.Queue()
        self.io.on("gossip_update", self.updates.put, namespace=NAMESPACE)
        self.io.on("exception", self.exceptions.put, namespace=NAMESPACE)

    async def open(self, url, transports, auth=None):
        await self.io.connect(url, namespaces=[NAMESPACE], transports=transports, auth=auth, wait_timeout=WAIT_S)

    def call(self, name, data):
        return self.io.call(name, data, namespace=NAMESPACE, timeout=WAIT_S)

    def emit(self, name, data):
        return self.io.emit(name, data, namespace=NAMESPACE)

    async def seen(self, count):
        arrived = [await asyncio.wait_for(self.updates.get(), WAIT_S) for _ in range(count)]
        return sorted(arrived, key=lambda each: each["seq"])


class AsyncClientTest(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    async def guest(self, transports, auth=None):
        guest = Guest()
        self.addAsyncCleanup(guest.io.disconnect)
        await guest.open(self.server.url, transports, auth)
        return guest

    async def test_an_evening(self):
        for mode, transports in TRANSPORTS.items():
            with self.subTest(mode):
                await self.an_evening(transports)

    async def an_evening(self, transports):
        room = str(uuid.uuid4())
        ann, bob, chief = Person(rooms=[room]), Person(rooms=[room]), Person(role="admin")
        one = await self.guest(transports, {"token": ann.token})
        two = await self.guest(transports)
        admin = await self.guest(transports, {"token": chief.token})
        authenticated = await two.call("authenticate", {"token": bob.token, "userId": bob.id})
        self.assertEqual(authenticated, {"status": "authenticated", "userId": bob.id, "expiresAt": bob.expires_at})
        for guest in (one, two):
            self.assertEqual(await guest.call("join_room", {"roomId": room}), {"status": "joined", "roomId": room, "seq": 0})

        posted = await one.call("new_gossip", {"roomId": room, "content": "Have you heard?"})
        intent_id = posted["intent"]["id"]
        await asyncio.gather(
            two.call("vote_gossip", {"intentId": intent_id, "action": "upvote"}),
            one.call("comment_gossip", {"intentId": intent_id, "content": "Well?"}),
        )
        await admin.call("update_gossip", {"intentId": intent_id, "status": "debunked", "reason": "No"})
        seen = await one.seen(5)
        self.assertEqual([each["seq"] for each in seen], [1, 2, 3, 4, 5])
        self.assertEqual(seen, await two.seen(5))
        self.assertEqual({each["type"] for each in seen[1:3]}, {"vote", "comment"})
        self.assertEqual([each["type"] for each in seen[3:]], ["status_change", "verification"])

        await two.emit("update_gossip", {"intentId": intent_id, "status": "verified"})
        body = await asyncio.wait_for(two.exceptions.get(), WAIT_S)
        self.assertEqual((body["status"], body["code"], body["event"]), ("error", "forbidden", "update_gossip"))


if __name__ == "__main__":
    unittest.main()
