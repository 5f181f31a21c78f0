#!/usr/bin/env python3
"""Uses a node's HTTP API with the standard library alone: puts and gets a record, watches others, and pays on the ledger.

The node is that of MOOT_API and MOOT_TOKEN. Exit codes are those of moot.
"""

import argparse
import http.client
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import ledger

PREFIX = "orders/"
# A node writes something to a stream every 15 seconds: one that is silent for this long is dead. In seconds.
SILENCE = 45
# How long one call may take: longer than a node's own limit, so that its answer says what was late.
CALL = 40
# How long a payment may wait for a block, in milliseconds: until then its outcome may be open.
VALID_FOR = 600_000
ATTEMPTS = 3
CODES = {"invalid": 2, "too-large": 2, "not-found": 3, "unavailable": 4, "conflict": 5}
KINDS = {400: "invalid", 404: "not-found", 412: "conflict", 413: "too-large", 429: "unavailable", 503: "unavailable"}


class Failure(Exception):
    """What failed, and its kind: what a caller can do about it."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """No answer of a node is a redirect, and the token is for the node alone."""

    def redirect_request(self, *_):
        return None


class Client:
    """Calls one node."""

    def __init__(self, url, token):
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise Failure("invalid", f"API address {url!r}: want http://HOST:PORT or https://HOST:PORT")
        self.url, self.token = url.rstrip("/"), token
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)

    def open(self, method, path, body=None, query=None, headers=None, timeout=CALL):
        """Returns the open answer of a request; Failure for everything but success."""
        url = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {"Content-Type": "application/octet-stream", **(headers or {})}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        try:
            return self.opener.open(urllib.request.Request(url, body, headers, method=method), timeout=timeout)
        except urllib.error.HTTPError as error:
            raise problem(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise Failure("unavailable", f"no answer from {self.url}: {getattr(error, 'reason', error)}") from None

    def ask(self, method, path, **options):
        """Returns the bytes of an answer, and its headers."""
        with self.open(method, path, **options) as answer:
            try:
                return answer.read(), answer.headers
            except (OSError, http.client.HTTPException) as error:
                raise Failure("unavailable", f"{self.url} broke its answer off: {error}") from None

    def document(self, method, path, **options):
        return json.loads(self.ask(method, path, **options)[0])

    def put(self, key, value):
        return self.document("PUT", "/v1/records/" + segment(key), body=value.encode())

    def events(self, prefix, cursor="", begun=lambda: None):
        """Yields the changes of keys, each with the cursor after it, and takes the stream up again when it breaks off; begun is called once it watches."""
        pause = 0.5
        while True:
            try:
                headers = {"Accept": "text/event-stream", **({"Last-Event-ID": cursor} if cursor else {})}
                with self.open("GET", "/v1/events", query={"prefix": prefix, "values": "true"}, headers=headers, timeout=SILENCE) as stream:
                    begun()
                    begun = lambda: None  # noqa: E731
                    for event, cursor in read_events(stream, cursor):
                        pause = 0.5
                        if event:
                            yield event, cursor
                failure = Failure("unavailable", f"{self.url} ended the stream of events")
            except (OSError, http.client.HTTPException) as error:
                failure = Failure("unavailable", f"{self.url} broke the stream off: {error}")
            except Failure as refused:
                failure = refused
            if failure.kind != "unavailable" or not cursor:
                raise failure
            print("orders:", failure, "- trying again", file=sys.stderr)
            time.sleep(pause)
            pause = min(2 * pause, 15)


def read_events(stream, cursor):
    """Yields server-sent events (HTML standard, section 9.2), each with the newest cursor; None where only that is new."""
    data = ""
    for line in stream:
        name, _, value = line.decode().rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            cursor = value
        elif name == "data":
            data += value + "\n"
        elif name == "" and not value:
            yield (json.loads(data) if data else None), cursor
            data = ""


def problem(error):
    """Returns the Failure of an answer of status 400 or more, whose body is a problem document (RFC 9457) unless something else answered."""
    try:
        document = json.loads(error.read())
        return Failure(document["kind"], document.get("detail") or document["title"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return Failure(KINDS.get(error.code, "internal"), f"the answer was {error.code} {error.reason}")


def segment(key):
    """Writes a key as one segment of a path."""
    return urllib.parse.quote(key, safe="")


def keep(client):
    """Puts a record and gets it back."""
    written = client.put(PREFIX + "1", "two loaves")
    copies = written["copies"]
    print(f"put {written['key']}: {copies['stored']} of {copies['wanted']} copies")
    value, _ = client.ask("GET", "/v1/records/" + segment(PREFIX + "1"))
    print(f"got {PREFIX}1 = {value.decode()}")


def watch(client):
    """Follows what others order, stops, and goes on where it stopped: what was ordered meanwhile is not missed."""
    cursor = wait_for(client.events(PREFIX, begun=lambda: client.put(PREFIX + "2", "a cake")), PREFIX + "2", "saw")
    # Nobody watches now. A program that ends here keeps the cursor in a file.
    client.put(PREFIX + "3", "ten rolls")
    wait_for(client.events(PREFIX, cursor), PREFIX + "3", "resumed: saw")


def wait_for(events, key, told):
    """Returns the cursor after a change of a key. Others may be told twice."""
    for event, cursor in events:
        if event["event"] == "lost":
            raise Failure("unavailable", f"changes may be missing: {event['detail']}; list the records anew")
        if event["event"] == "change" and event["key"] == key:
            print(f"{told} {key} = {event['value']}")
            return cursor
    raise Failure("internal", "the events ended")


def pay(client, options):
    """Transfers an amount, waits until that is in a block, and keeps the receipt."""
    try:
        with open(options.key, encoding="utf-8") as file:
            seed = ledger.read_key(file.read())
    except (OSError, ValueError) as error:
        raise Failure("invalid", f"read the key: {error}") from None
    network = client.document("GET", "/v1/ledger")["network"]
    asset = client.document("GET", "/v1/ledger/assets/" + segment(options.asset))
    try:
        amount = ledger.parse_amount(options.amount, asset["scale"])
        valid_until = int(time.time() * 1000) + VALID_FOR
        id, encoded = ledger.transfer(network, seed, options.asset, options.to, amount, valid_until, secrets.randbits(64))
    except ValueError as error:
        raise Failure("invalid", str(error)) from None
    done = hand_in(client, encoded)
    if not done["applied"]:
        raise Failure("conflict", f"transaction {id} is in block {done['height']} and did nothing: {done['failure']}")
    print(f"paid {options.amount}: transaction {id} is in block {done['height']}")
    # It proves the payment to whoever has the genesis: moot ledger verify receipt.json --genesis genesis.json
    receipt, _ = client.ask("GET", "/v1/ledger/receipts/transactions/" + id)
    with open(options.receipt, "wb") as file:
        file.write(receipt)
    print(f"the receipt is in {options.receipt}")


def hand_in(client, encoded):
    """Hands a transaction in until an answer says what became of it. The same bytes happen once at most, so that they may be handed in again."""
    headers = {"Content-Type": "application/vnd.folkmoot.transaction"}
    for left in reversed(range(ATTEMPTS)):
        try:
            return client.document("POST", "/v1/ledger/transactions", body=encoded, query={"wait": "committed"}, headers=headers)
        except Failure as failure:
            if failure.kind != "unavailable" or left == 0:
                raise
            time.sleep(2 ** (ATTEMPTS - 1 - left))  # a node that is started again needs a moment


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--key", help="file with the key of the account that pays, as moot ledger account new makes it; without it nothing is paid")
    parser.add_argument("--to", help="account that is paid")
    parser.add_argument("--asset", help="CODE@ISSUER")
    parser.add_argument("--amount", help="such as 12.50")
    parser.add_argument("--receipt", default="receipt.json", help="file for the receipt (default: %(default)s)")
    options = parser.parse_args()
    if options.key and not (options.to and options.asset and options.amount):
        parser.error("--key needs --to, --asset and --amount")
    client = Client(os.environ.get("MOOT_API", "http://127.0.0.1:7070"), os.environ.get("MOOT_TOKEN", ""))
    keep(client)
    watch(client)
    if options.key:
        pay(client, options)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print("orders:", failure, file=sys.stderr)
        sys.exit(CODES.get(failure.kind, 1))
    except KeyboardInterrupt:
        sys.exit(130)
