"""What an application written with python-socketio does, over each transport: contract §1 to §4."""

import threading
import time
import unittest
import uuid

import socketio

from support import EVENT_KEYS, INTENT_KEYS, NAMESPACE, UPDATE_KEYS, GossipTestCase, Person, sign


class Authentication:
    def test_by_handshake(self):
        client = self.connect()
        self.assertEqual(
            client.call("join_room", {"roomId": self.room}), {"status": "joined", "roomId": self.room, "seq": 0}
        )

    def test_by_event(self):
        person = self.person()
        client = self.stranger()
        self.assert_refused(client, "join_room", {"roomId": self.room}, "not_authenticated")
        self.assertEqual(
            client.call("authenticate", {"token": person.token, "userId": person.id}),
            {"status": "authenticated", "userId": person.id, "expiresAt": person.expires_at},
        )
        self.assertEqual(client.call("join_room", {"roomId": self.room})["status"], "joined")

    def test_nothing_awaited(self):
        person = self.person()
        client = self.stranger()
        client.emit("authenticate", {"token": person.token, "userId": person.id})
        client.emit("join_room", {"roomId": self.room})
        client.emit("new_gossip", {"roomId": self.room, "content": "This is some juicy gossip!", "expiresInMinutes": 60})
        [update] = client.updates(1)
        self.assertEqual((update["type"], update["seq"], update["intent"]["userId"]), ("new_intent", 1, person.id))

    def test_bad_token_in_the_handshake(self):
        claims = {"sub": str(uuid.uuid4()), "exp": int(time.time()) + 60}
        for code, token in [
            ("invalid_token", "not-a-token"),
            ("invalid_token", sign(claims, secret="another secret, of more than thirty-two bytes")),
            ("token_expired", Person(expires_in=-1).token),
        ]:
            with self.subTest(code=code, token=token):
                client = self.client()
                with self.assertRaises(socketio.exceptions.ConnectionError):
                    client.open(self.server.url, self.transports, {"token": token})
                self.assertEqual(client.refused["data"]["code"], code)

    def test_bad_token_in_the_event(self):
        person = self.person()
        client = self.stranger()
        self.assert_refused(client, "authenticate", {"token": "not-a-token"}, "invalid_token")
        self.assert_refused(client, "authenticate", {"token": person.token, "userId": str(uuid.uuid4())}, "invalid_token")
        self.assertEqual(client.call("authenticate", {"token": person.token})["status"], "authenticated")

    def test_unknown_namespace(self):
        client = socketio.Client(reconnection=False, handle_sigint=False)
        refused = []
        client.on("connect_error", refused.append, namespace="/nowhere")
        self.addCleanup(client.disconnect)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            client.connect(self.server.url, namespaces=["/nowhere"], transports=self.transports)
        self.assertEqual([each["message"] for each in refused], ["Invalid namespace"])

    def test_token_runs_out(self):
        client = self.connect(self.person(expires_in=2))
        [body] = client.events("exception", 1)
        self.assert_refusal(body, "token_expired")
        self.assertNotIn("event", body)
        self.assertTrue(client.gone.wait(5))


class Events:
    def test_post_vote_comment_and_status(self):
        author, reader = self.member(), self.member()
        admin = self.admin()
        metadata = {"source": "anonymous", "nested": {"list": [1, 2.5, None, True]}}
        posted = author.call("new_gossip", {"roomId": self.room, "content": "Gossip", "metadata": metadata})
        self.assertEqual(set(posted), {"status", "intent", "seq"})
        self.assertEqual(set(posted["intent"]), INTENT_KEYS)
        self.assertEqual(posted["intent"]["metadata"], metadata)
        intent_id = posted["intent"]["id"]

        voted = reader.call("vote_gossip", {"intentId": intent_id, "action": "upvote"})
        self.assertEqual((set(voted), voted["intent"]["upvotes"], voted["seq"]), ({"status", "intent", "seq"}, 1, 2))
        commented = reader.call("comment_gossip", {"intentId": intent_id, "content": "Really?"})
        self.assertEqual((set(commented), commented["seq"]), ({"status", "update", "seq"}, 3))
        self.assertEqual(set(commented["update"]), UPDATE_KEYS)
        status = {"intentId": intent_id, "status": "verified", "reason": "Yes"}
        verified = admin.call("update_gossip", status)
        self.assertEqual((verified["status"], verified["intent"]["status"], verified["seq"]), ("success", "verified", 5))

        seen = author.updates(5)
        self.assertEqual(seen, reader.updates(5))
        self.assertEqual([each["seq"] for each in seen], [1, 2, 3, 4, 5])
        self.assertEqual(
            [each["type"] for each in seen], ["new_intent", "vote", "comment", "status_change", "verification"]
        )
        for each in seen:
            has_update = each["type"] in ("comment", "status_change", "verification")
            self.assertEqual(set(each), EVENT_KEYS | ({"update"} if has_update else set()))
        self.assertEqual(seen[0]["intent"], posted["intent"])
        self.assertEqual(seen[2]["update"], commented["update"])
        self.assertEqual(seen[3]["update"]["metadata"], {"oldStatus": "pending", "newStatus": "verified"})
        self.assertEqual((seen[4]["update"]["metadata"], seen[4]["update"]["content"]), ({"verdict": "verified"}, "Yes"))

    def test_reads(self):
        client = self.member()
        first, second = self.post(client, "first"), self.post(client, "second")
        client.call("vote_gossip", {"intentId": first["id"], "action": "downvote"})
        comment = client.call("comment_gossip", {"intentId": second["id"], "content": "hm"})["update"]
        got = client.call("get_gossip", {"intentId": first["id"]})
        self.assertEqual((set(got), got["myVote"], got["intent"]["downvotes"]), ({"status", "intent", "myVote"}, "downvote", 1))
        page = client.call("list_gossip", {"roomId": self.room, "limit": 1})
        self.assertEqual(page["intents"], [second])
        rest = client.call("list_gossip", {"roomId": self.room, "limit": 10, "before": page["nextBefore"]})
        self.assertEqual(rest, {"status": "success", "intents": [got["intent"]], "nextBefore": None})
        updates = client.call("list_updates", {"intentId": second["id"]})
        self.assertEqual(updates, {"status": "success", "updates": [comment], "nextBefore": None})

    def test_without_acks(self):
        client = self.member()
        client.emit("new_gossip", {"roomId": self.room, "content": "quietly"})
        intent_id = client.updates(1)[0]["intent"]["id"]
        client.emit("vote_gossip", {"intentId": intent_id, "action": "upvote"})
        client.emit("comment_gossip", {"intentId": intent_id, "content": "quietly too"})
        self.assertEqual([each["type"] for each in client.updates(3)], ["new_intent", "vote", "comment"])
        self.assertEqual(client.events("exception", 0), [])

    def test_resume_and_leave(self):
        member = self.member()
        for content in ("one", "two", "three"):
            self.post(member, content)
        late = self.connect()
        ack = late.call("join_room", {"roomId": self.room, "since": 1, "history": 1})
        self.assertEqual((ack["seq"], ack["recovered"], [each["content"] for each in ack["intents"]]), (3, True, ["three"]))
        self.assertEqual(late.updates(2), member.updates(3)[1:])
        self.assertEqual(late.call("leave_room", {"roomId": self.room}), {"status": "left", "roomId": self.room})
        self.post(member, "unheard")
        late.call("join_room", {"roomId": self.room})
        self.post(member, "heard")
        self.assertEqual([each["seq"] for each in late.updates(3)], [2, 3, 5])

    def test_request_id(self):
        client = self.member()
        command = {"roomId": self.room, "content": "once", "requestId": "once"}
        first = client.call("new_gossip", command)
        self.assertEqual(client.call("new_gossip", command), first)
        self.assert_refused(client, "new_gossip", {**command, "content": "twice"}, "conflict")
        self.assertEqual(client.call("list_gossip", {"roomId": self.room})["intents"], [first["intent"]])

    def test_refusals(self):
        client, admin = self.member(), self.admin()
        intent_id = self.post(client)["id"]
        other_room = str(uuid.uuid4())
        for name, data, code, field in [
            ("shout", {}, "unknown_event", None),
            ("join_room", None, "invalid_input", "data"),
            ("join_room", "text", "invalid_input", "data"),
            ("join_room", {}, "invalid_input", "roomId"),
            ("join_room", {"roomId": other_room}, "forbidden", None),
            ("new_gossip", {"roomId": self.room, "content": "  "}, "invalid_input", "content"),
            ("new_gossip", {"roomId": self.room, "content": b"bytes"}, "invalid_input", "content"),
            ("new_gossip", {"roomId": self.room, "content": "x", "expiresInMinutes": 10**400}, "invalid_input", None),
            ("update_gossip", {"intentId": intent_id, "status": "verified"}, "forbidden", None),
            ("vote_gossip", {"intentId": str(uuid.uuid4()), "action": "upvote"}, "not_found", None),
            ("vote_gossip", {"intentId": intent_id, "action": "up"}, "invalid_input", "action"),
            ("list_gossip", {"roomId": self.room, "limit": 101}, "invalid_input", "limit"),
        ]:
            with self.subTest(name=name, code=code, field=field):
                if field is None and code == "invalid_input":
                    self.assertEqual(client.call(name, data)["code"], code)
                else:
                    self.assert_refused(client, name, data, code, field)
        admin.call("update_gossip", {"intentId": intent_id, "status": "expired"})
        self.assert_refused(client, "comment_gossip", {"intentId": intent_id, "content": "late"}, "closed")
        self.assertEqual(client.call("get_gossip", {"intentId": intent_id})["intent"]["status"], "expired")

    def test_many_at_once(self):
        clients = [self.member() for _ in range(8)]
        intent_id = self.post(clients[0])["id"]
        acks = []

        def busy(client, action):
            acks.append(client.call("vote_gossip", {"intentId": intent_id, "action": action}))
            acks.append(client.call("comment_gossip", {"intentId": intent_id, "content": action}))

        threads = [
            threading.Thread(target=busy, args=(client, "downvote" if index % 4 == 0 else "upvote"))
            for index, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(acks), 16)
        last = max(ack["seq"] for ack in acks)
        reference = clients[0].updates(last)
        self.assertEqual([each["seq"] for each in reference], list(range(1, last + 1)))
        for client in clients:
            self.assertEqual(client.updates(last), reference)
        intent = clients[0].call("get_gossip", {"intentId": intent_id})["intent"]
        self.assertEqual((intent["upvotes"], intent["downvotes"]), (6, 2))


class OverWebSocket(Authentication, Events, GossipTestCase):
    transports = ["websocket"]


class OverPolling(Authentication, Events, GossipTestCase):
    transports = ["polling"]


class OverPollingThenUpgrade(Authentication, Events, GossipTestCase):
    transports = ["polling", "websocket"]

    def test_upgrades(self):
        self.assertEqual(self.member().io.transport(), "websocket")


if __name__ == "__main__":
    unittest.main()
