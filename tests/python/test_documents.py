"""What the server says of itself in `/v1/openapi.json` and `/v1/asyncapi.json`, held against what it does."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import uuid

import jsonschema_rs
import requests

from support import GossipTestCase, Person

SEED = "1"
EXAMPLES = "20"
RUN_S = 120
# `before` is what an earlier page gave: the document cannot say which texts those are.
CHANCE = """
[[operations]]
include-operation-id = ["listGossip", "listUpdates"]
checks.positive_data_acceptance.expected-statuses = ["200", "400", "401", "403", "404"]
"""
# What chance does not find: a room with gossip in it, and the gossip.
KNOWN = """
[parameters]
"path.roomId" = {room}
"path.intentId" = {intent}
"query.before" = {page}
"""


class OpenApi(GossipTestCase):
    """Schemathesis sends what the document allows and what it does not, and checks every answer."""

    def setUp(self):
        super().setUp()
        service = self.connect(Person(role="service"))
        self.assertEqual(service.call("join_room", {"roomId": self.room})["status"], "joined")
        intents = [self.post(service, str(count), metadata={"count": count}) for count in range(3)]
        intent = intents[0]["id"]
        for count in range(3):
            service.call("comment_gossip", {"intentId": intent, "content": str(count)})
        service.call("vote_gossip", {"intentId": intent, "action": "upvote"})
        page = service.call("list_gossip", {"roomId": self.room, "limit": 1})["nextBefore"]
        self.known = {"room": self.room, "intent": intent, "page": page}

    def test_answers_by_chance(self):
        self.run_schemathesis(CHANCE, "--phases", "coverage,fuzzing,stateful")

    def test_answers_with_what_there_is(self):
        known = {name: json.dumps(value) for name, value in self.known.items()}
        reads = "events,getGossip,listGossip,listUpdates,members"
        names = [word for name in reads.split(",") for word in ("--include-operation-id", name)]
        report = self.run_schemathesis(KNOWN.format(**known), "--phases", "fuzzing", "--mode", "positive", *names)
        self.assertNotIn("404 Not Found", report)

    def run_schemathesis(self, config, *options):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "schemathesis.toml")
            file.write_text(config, encoding="utf-8")
            command = [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(file), "--no-color",
                "run", f"{self.server.url}/v1/openapi.json", "--checks", "all", *options,
                "--header", f"Authorization: Bearer {Person(role='service').token}", "--request-timeout", "10",
                "--seed", SEED, "--max-examples", EXAMPLES, "--continue-on-failure", "--no-shrink",
            ]
            done = subprocess.run(
                command, cwd=directory, env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "120"},
                timeout=RUN_S, text=True, encoding="utf-8", stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout


class AsyncApi(GossipTestCase):
    """Acks and events have the members of their schemas, and no others."""

    def setUp(self):
        super().setUp()
        self.document = requests.get(f"{self.server.url}/v1/asyncapi.json", timeout=10).json()
        close(self.document["components"]["schemas"])

    def payload(self, reference):
        *_, channel, _, message = reference["$ref"].split("/")
        return self.document["channels"][channel]["messages"][message]["payload"]

    def valid(self, schema, value):
        schema = {**schema, "components": self.document["components"]}
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)

    def call(self, client, event, data):
        operation = self.document["operations"][event]
        self.valid(self.payload(operation["messages"][0]), data)
        ack = client.call(event, data)
        self.valid({"oneOf": [self.payload(reply) for reply in operation["reply"]["messages"]]}, ack)
        self.seen.add((event, ack["status"] != "error"))
        return ack

    def test_acks_and_events_are_as_described(self):
        self.seen = set()
        admin, stranger = self.admin(), self.stranger()
        person = self.person()
        self.call(stranger, "authenticate", {"token": person.token, "userId": person.id})
        self.call(admin, "join_room", {"roomId": self.room, "since": 0, "history": 5})
        posted = self.call(admin, "new_gossip", {"roomId": self.room, "content": "psst", "metadata": {"a": [1]}})
        intent = posted["intent"]["id"]
        self.call(admin, "comment_gossip", {"intentId": intent, "content": "so they say", "requestId": "1"})
        self.call(admin, "vote_gossip", {"intentId": intent, "action": "upvote"})
        self.call(admin, "update_gossip", {"intentId": intent, "status": "verified", "reason": "seen"})
        self.call(admin, "list_gossip", {"roomId": self.room, "limit": 1})
        self.call(admin, "get_gossip", {"intentId": intent})
        self.call(admin, "list_updates", {"intentId": intent})
        self.call(admin, "join_room", {"roomId": self.room, "history": 5})
        for update in admin.updates(5):
            self.valid(self.payload(self.document["operations"]["gossip_update"]["messages"][0]), update)
        self.call(admin, "leave_room", {"roomId": self.room})
        received = {name for name, each in self.document["operations"].items()
                    if each["action"] == "receive" and each["channel"]["$ref"] == "#/channels/gossip"}
        self.assertEqual({(name, True) for name in received}, self.seen)

        self.assertEqual(self.call(admin, "get_gossip", {"intentId": str(uuid.uuid4())})["code"], "not_found")
        stranger.emit("update_gossip", {"intentId": intent})
        self.valid(self.payload({"$ref": "/gossip/messages/exception"}), stranger.events("exception", 1)[0])


def close(schema):
    """Lets no schema have members that it does not name."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema["additionalProperties"] = False
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            close(each)


if __name__ == "__main__":
    unittest.main()
