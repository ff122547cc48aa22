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
# What chance would not find: a room with gossip in it, the gossip, and a page's end.
CONFIG = """
[dictionaries]
rooms = {{ values = [{room}] }}
intents = {{ values = [{intent}] }}
pages = {{ values = [{page}] }}

[parameters]
"path.roomId" = {{ dictionary = "rooms", probability = 0.3 }}
"path.intentId" = {{ dictionary = "intents", probability = 0.7 }}
"query.before" = {{ dictionary = "pages", probability = 0.7 }}

# `before` is what an earlier page gave: the document cannot say which texts those are.
[[operations]]
include-operation-id = ["listGossip", "listUpdates"]
checks.positive_data_acceptance.expected-statuses = ["200", "400", "401", "403", "404"]
"""


class OpenApi(GossipTestCase):
    """Schemathesis sends what the document allows and what it does not, and checks every answer."""

    def test_answers_are_as_described(self):
        service = self.connect(Person(role="service"))
        self.assertEqual(service.call("join_room", {"roomId": self.room})["status"], "joined")
        intents = [self.post(service, str(count), metadata={"count": count}) for count in range(3)]
        service.call("comment_gossip", {"intentId": intents[0]["id"], "content": "so they say"})
        service.call("vote_gossip", {"intentId": intents[0]["id"], "action": "upvote"})
        page = service.call("list_gossip", {"roomId": self.room, "limit": 1})["nextBefore"]
        values = {"room": self.room, "intent": intents[0]["id"], "page": page}
        with tempfile.TemporaryDirectory() as directory:
            config = pathlib.Path(directory, "schemathesis.toml")
            config.write_text(CONFIG.format(**{name: json.dumps(value) for name, value in values.items()}))
            command = [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "--no-color",
                "run", f"{self.server.url}/v1/openapi.json", "--phases", "coverage,fuzzing,stateful", "--checks", "all",
                "--header", f"Authorization: Bearer {Person(role='service').token}", "--request-timeout", "10",
                "--seed", SEED, "--max-examples", EXAMPLES, "--continue-on-failure", "--no-shrink",
            ]
            environment = {**os.environ, "SCHEMATHESIS_HOOKS": "", "PYTHONIOENCODING": "utf-8", "COLUMNS": "120"}
            done = subprocess.run(
                command, cwd=directory, env=environment, timeout=RUN_S, text=True, encoding="utf-8",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )
        self.assertEqual(done.returncode, 0, done.stdout)


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
