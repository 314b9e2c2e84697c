"""A remote worker for bide that needs nothing but Python's standard library.

    BIDE_URL=http://127.0.0.1:7878 BIDE_TOKEN=bide_... python3 worker.py

It carries out the effect types named in HANDLERS, which the server has in its setting remote.types,
one call at a time. Where several servers share a store, BIDE_URL lists them all, with commas: each has the
calls of the runs that it drives. An effect may be made again after a crash, always with the same
idempotency key: pass it on to whatever you call.
"""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

URLS = [url.rstrip("/") for url in os.environ["BIDE_URL"].split(",")]
TOKEN = os.environ.get("BIDE_TOKEN", "")  # bide dev lets in without
NAME = os.environ.get("BIDE_WORKER", "python-%d" % os.getpid())


class Permanent(Exception):
    """An error that another attempt cannot mend."""


def shout(payload, key):
    """Returns a text in capitals."""
    if not isinstance(payload.get("text"), str):
        raise Permanent("the payload has no text")
    return {"text": payload["text"].upper(), "key": key}


def divide(payload, key):
    """Divides a by b."""
    return payload["a"] / payload["b"]


HANDLERS = {"shout": shout, "divide": divide}


def post(url, path, body, timeout, key=None):
    """Sends JSON and returns the status and what came back."""
    request = urllib.request.Request(
        url + "/v1/work" + path,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": key or str(uuid.uuid4())},
    )
    if TOKEN:
        request.add_header("Authorization", "Bearer " + TOKEN)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            text = reply.read()
            return reply.status, json.loads(text) if text else None
    except urllib.error.HTTPError as err:
        return err.code, json.loads(err.read() or b"{}")


def seconds(duration):
    """Reads a duration such as 1m30s or 250ms."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    total, number, unit = 0.0, "", ""
    for char in duration + "0":
        if char.isdigit() or char == ".":
            if unit:
                total, number, unit = total + float(number) * units[unit], "", ""
            number += char
        else:
            unit += char
    return total


def keep(url, call, done):
    """Says that the worker is at work, until done is set or the call is lost."""
    path = "/%s/heartbeat" % call["call_id"]
    while not done.wait(seconds(call["lease"]) / 3):
        try:
            status, _ = post(url, path, {"token": call["token"]}, 10)
            if status == 409:
                return
        except OSError:
            pass  # the server may be back before the lease ends


def carry_out(url, call):
    """Does the work and says how it went."""
    done = threading.Event()
    beat = threading.Thread(target=keep, args=(url, call, done), daemon=True)
    beat.start()
    try:
        result = HANDLERS[call["type"]](call.get("payload"), call["idempotency_key"])
        verb, body = "complete", {"result": result}
    except Permanent as err:
        verb, body = "fail", {"message": str(err), "permanent": True}
    except Exception as err:  # a failed attempt: the effect's retry policy counts
        verb, body = "fail", {"message": "%s: %s" % (type(err).__name__, err)}
    finally:
        done.set()
    body["token"] = call["token"]
    for pause in (1, 2, 4, 8, 0):  # said twice, it counts once
        try:
            status, reply = post(url, "/%s/%s" % (call["call_id"], verb), body, 30)
            if status not in (204, 409):
                print("%s: %s %s" % (verb, status, reply), file=sys.stderr)
            return
        except OSError as err:
            print("%s: %s" % (verb, err), file=sys.stderr)
            time.sleep(pause)


def work(url):
    """Asks a server for work until the process is ended."""
    pause, key = 1, str(uuid.uuid4())
    while True:
        try:  # after a lost answer, the same key gives the same call
            status, reply = post(url, "", {"worker": NAME, "types": list(HANDLERS)}, 60, key)
            if status == 200:
                carry_out(url, reply)
            elif status != 204:
                raise OSError("%s %s" % (status, reply.get("detail")))
            pause, key = 1, str(uuid.uuid4())
        except OSError as err:
            print("%s does not answer: %s; again in %ds" % (url, err, pause), file=sys.stderr)
            time.sleep(pause)
            pause = min(2 * pause, 30)


def main():
    """Works for every server."""
    for url in URLS[1:]:
        threading.Thread(target=work, args=(url,), daemon=True).start()
    work(URLS[0])


if __name__ == "__main__":
    main()
