"""The daemon under test, tokens, and a stock python-socketio client that remembers what arrived."""

import atexit
import base64
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

import socketio

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("GOSSIPD_BIN", REPOSITORY / "target/debug/gossipd")).resolve()
LISTENING = re.compile(r"^gossipd listening on (http://\S+?:\d+)/?\s*$")
SECRET = "a secret of the end-to-end tests, used nowhere else"
NAMESPACE = "/gossip"
START_S = 20
STOP_S = 15
WAIT_S = 10

INTENT_KEYS = {
    "id", "roomId", "userId", "content", "status", "metadata",
    "upvotes", "downvotes", "expiresAt", "createdAt", "updatedAt",
}
UPDATE_KEYS = {"id", "intentId", "userId", "type", "content", "metadata", "createdAt"}
EVENT_KEYS = {"type", "intent", "timestamp", "roomId", "seq"}


class Server:
    """gossipd on a free port and an empty database, both gone after `stop`."""

    def __init__(self, **env):
        if not BINARY.exists():
            raise RuntimeError(f'no gossipd at {BINARY}: run "cargo build -p gossipd", or set GOSSIPD_BIN')
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gossipd-"))
        settings = {
            "PATH": os.environ.get("PATH", ""),
            "WS_HOST": "127.0.0.1",
            "WS_PORT": "0",
            "DATABASE_URL": f"sqlite://{self.directory / 'gossip.db'}",
            "JWT_SECRET": SECRET,
            "ROOM_ACCESS": "claims",
            "RATE_LIMIT_MODE": "observe",
            "LOG_LEVEL": "warn",
            **env,
        }
        self.errors = open(self.directory / "stderr", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(BINARY)], cwd=self.directory, env=settings, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors,
        )
        atexit.register(self.kill)
        self.url = None
        started = threading.Event()
        threading.Thread(target=self._read, args=(started,), daemon=True).start()
        started.wait(START_S)
        if self.url is None:
            shown = self.stderr()
            self.kill()
            raise RuntimeError(f"gossipd did not start: {shown}")

    def _read(self, started):
        for line in self.process.stdout:
            found = LISTENING.match(line)
            if found:
                self.url = found[1]
                started.set()
        started.set()

    def stderr(self):
        self.errors.flush()
        return pathlib.Path(self.errors.name).read_text(encoding="utf-8")

    def stop(self):
        """Ends the daemon as an operator would; fails unless it leaves cleanly."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
            if code != 0:
                raise AssertionError(f"gossipd ended with {code} on SIGTERM: {self.stderr()}")
        finally:
            self.kill()

    def kill(self):
        atexit.unregister(self.kill)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        shutil.rmtree(self.directory, ignore_errors=True)


# `atexit` does not run when a signal ends the process.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def sign(claims, secret=SECRET):
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    body = b".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (body + b"." + encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())).decode()


class Person:
    """A user with a token."""

    def __init__(self, expires_in=3600, **claims):
        self.id = str(uuid.uuid4())
        self.exp = int(time.time()) + expires_in
        self.token = sign({"sub": self.id, "exp": self.exp, **claims})

    @property
    def expires_at(self):
        moment = datetime.datetime.fromtimestamp(self.exp, datetime.timezone.utc)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Client:
    """A sync client in the namespace; handlers run in threads of the library's, so order is by `seq`."""

    def __init__(self):
        self.io = socketio.Client(reconnection=False, handle_sigint=False)
        self.arrived = []
        self.refused = None
        self.gone = threading.Event()
        self._changed = threading.Condition()
        self.io.on("*", self._on_event, namespace=NAMESPACE)
        self.io.on("connect_error", self._on_refused, namespace=NAMESPACE)
        self.io.on("disconnect", lambda *_: self.gone.set(), namespace=NAMESPACE)

    def _on_event(self, name, *args):
        with self._changed:
            self.arrived.append((name, *args))
            self._changed.notify_all()

    def _on_refused(self, data=None):
        self.refused = data

    def open(self, url, transports, auth=None):
        self.io.connect(url, namespaces=[NAMESPACE], transports=transports, auth=auth, wait_timeout=WAIT_S)
        return self

    def close(self):
        self.io.disconnect()

    def call(self, name, data=None):
        return self.io.call(name, data, namespace=NAMESPACE, timeout=WAIT_S)

    def emit(self, name, data=None):
        self.io.emit(name, data, namespace=NAMESPACE)

    def events(self, name, count):
        """The data of the events of one name, once there are `count`."""

        def got():
            return [each[1] for each in self.arrived if each[0] == name]

        with self._changed:
            if not self._changed.wait_for(lambda: len(got()) >= count, WAIT_S):
                raise AssertionError(f"{count} {name} not within {WAIT_S} s; arrived: {self.arrived}")
            return got()

    def updates(self, count):
        return sorted(self.events("gossip_update", count), key=lambda each: each["seq"])


class GossipTestCase(unittest.TestCase):
    """A server for each class, a room for each test."""

    transports = None
    env = {}
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.env)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.room = str(uuid.uuid4())

    def person(self, **claims):
        return Person(**{"rooms": [self.room], **claims})

    def client(self):
        client = Client()
        self.addCleanup(client.close)
        return client

    def stranger(self):
        return self.client().open(self.server.url, self.transports)

    def connect(self, person=None):
        person = person or self.person()
        client = self.client().open(self.server.url, self.transports, {"token": person.token})
        client.id = person.id
        return client

    def member(self):
        client = self.connect()
        self.assertEqual(client.call("join_room", {"roomId": self.room})["status"], "joined")
        return client

    def admin(self):
        return self.connect(Person(role="admin"))

    def post(self, client, content="Have you heard?", **more):
        ack = client.call("new_gossip", {"roomId": self.room, "content": content, **more})
        self.assertEqual(ack["status"], "success", ack)
        return ack["intent"]

    def assert_refusal(self, body, code, field=None):
        keys = {"status", "code", "message"} | ({"field"} if field else set())
        self.assertEqual(keys, set(body) - {"event"}, body)
        self.assertEqual((body["status"], body["code"], body.get("field")), ("error", code, field), body)

    def assert_refused(self, client, name, data, code, field=None):
        """Refused alike through the ack and, without a callback, as an `exception`."""
        seen = len([each for each in client.arrived if each[0] == "exception"])
        self.assert_refusal(client.call(name, data), code, field)
        client.emit(name, data)
        body = client.events("exception", seen + 1)[seen]
        self.assert_refusal(body, code, field)
        self.assertEqual(body["event"], name)
