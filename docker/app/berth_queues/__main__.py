"""The command `queues.sh`: see `queues.sh --help`."""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from berth_queues import messages, moving, page, settings, tables
from berth_queues.history import History
from berth_queues.settings import Trouble
from berth_queues.sqs import Server

WATCH_S = 2.0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="queues.sh", description="Look after the queues of this project.")
    actions = made.add_subparsers(dest="action", required=True)

    def action(name: str, does: Callable[[argparse.Namespace], None], says: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=says)
        added.set_defaults(does=does)
        return added

    action("serve", serve, "serve the page")
    listing = action("list", list_, "list the queues")
    listing.add_argument("--json", action="store_true")
    listing.add_argument("--watch", action="store_true")
    peeking = action("peek", peek, "show messages that wait; a look is a delivery")
    peeking.add_argument("queue")
    peeking.add_argument("--limit", type=int, default=10)
    peeking.add_argument("--json", action="store_true")
    sending = action("send", send, "publish a task")
    sending.add_argument("task")
    sending.add_argument("--queue", required=True)
    sending.add_argument("--args", default="[]", help="JSON")
    sending.add_argument("--kwargs", default="{}", help="JSON")
    sending.add_argument("--countdown", type=float, default=0, help="seconds")
    purging = action("purge", purge, "delete all messages of a queue, without asking")
    purging.add_argument("queue")
    moving = action("redrive", redrive, "send dead letters back")
    moving.add_argument("queue")
    moving.add_argument("ids", nargs="*")
    moving.add_argument("--to")
    moving.add_argument("--rate", type=float, default=0, help="messages a second")
    creating = action("create", create, "make a queue")
    creating.add_argument("queue")
    creating.add_argument("attributes", help="JSON")
    creating.add_argument("--dead-letters", default="")
    creating.add_argument("--max-receives", type=int, default=0)
    describing = action("describe", describe, "print queues as JSON, by the server's names for them")
    describing.add_argument("queues", nargs="+")
    return made


def serve(_: argparse.Namespace) -> None:
    page.serve(page.address())


def list_(words: argparse.Namespace) -> None:
    while True:
        state = _state()
        if state["error"]:
            raise Trouble(state["error"])
        if words.json:
            print(json.dumps(state["queues"]), flush=True)
        elif words.watch and sys.stdout.isatty():
            print(f"\x1b[H\x1b[2J{tables.queues(state)}\n\nCtrl-C ends", flush=True)
        else:
            print(tables.queues(state), flush=True)
        if not words.watch:
            if any(queue["problem"] for queue in state["queues"]):
                sys.exit(1)
            return
        time.sleep(WATCH_S)


def _state() -> dict[str, Any]:
    """Return the queues as the page knows them, which has watched them for a while; without it, as they are now."""
    return _page("/api/queues") or History(_server().queues).latest()


def _page(path: str) -> dict[str, Any]:
    """Return what the page says; nothing where it does not answer."""
    host, _, port = page.address().rpartition(":")
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}{path}"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=15) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError):
        return {}


def peek(words: argparse.Namespace) -> None:
    server = _server()
    queue = server.queue(words.queue)
    found, anew = moving.peek(server, queue, words.limit)
    decoded = [messages.decode(message) for message in found]
    failures = _page(page.FAILURES_PATH)
    for message in decoded:
        message["failure"] = failures.get(message.get("task_id"))
    if words.json:
        print(json.dumps(decoded))
    elif decoded:
        print(tables.messages(decoded, queue.max_receives))
    hidden = [f"{n} {what}" for n, what in ((queue.in_flight, "in flight"), (queue.delayed, "delayed")) if n]
    if not decoded:
        _say(f"nothing waits in `{queue.name}`{' that could be shown' if hidden else ''}")
    elif queue.visible > len(decoded):
        _say(f"{len(decoded)} of {queue.visible} are shown")
    if hidden:
        _say(f"SQS shows none of those that are hidden: {', '.join(hidden)}")
    if decoded and queue.max_receives:
        _say(f"the look counted as one of the {queue.max_receives} deliveries that each message gets")
    if anew:
        _say(f"{anew} would have been a dead letter at the next one, and was sent anew with its deliveries at 0")


def send(words: argparse.Namespace) -> None:
    from berth_queues import sending

    args, kwargs = _json("--args", words.args, list), _json("--kwargs", words.kwargs, dict)
    queue = _server().queue(words.queue)
    number = sending.send(settings.read(), queue, words.task, args, kwargs, words.countdown)
    print(number)


def _json(option: str, text: str, kind: type) -> Any:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Trouble(f"`{option}` is no JSON: {error}") from None
    if not isinstance(found, kind):
        raise Trouble(f"`{option}` takes a JSON {'array' if kind is list else 'object'}, not `{text}`")
    return found


def purge(words: argparse.Namespace) -> None:
    server = _server()
    queue = server.queue(words.queue)
    back = moving.purge(server, queue)
    print(f"`{queue.name}` is empty now: {queue.total} deleted")
    if back:
        _say(f"{back} of them were hidden; ElasticMQ has those again after a restart: purge once more then")


def redrive(words: argparse.Namespace) -> None:
    server = _server()
    queue = server.queue(words.queue)

    def told(message: dict[str, Any], target: Any) -> None:
        decoded = messages.decode(message)
        print(f"{tables.printable(str(decoded['task'] or decoded['id']))} -> {target.name}", flush=True)

    moved = moving.redrive(server, queue, words.ids, to=words.to, rate=words.rate, told=told)
    _say(f"{moved} sent back from `{queue.name}`")


def create(words: argparse.Namespace) -> None:
    attributes = _json("attributes", words.attributes, dict)
    print(_server().create(words.queue, attributes, words.dead_letters, words.max_receives))


def describe(words: argparse.Namespace) -> None:
    server = _server()
    found = [queue.as_dict() for queue in server.named(words.queues)]
    if server.settings.endpoint:
        # custom.conf, of which a server of one's own has its queues, cannot say it; moto has the default then.
        for queue in found:
            (queue["attributes"] or {}).pop("MessageRetentionPeriod", None)
    print(json.dumps(found))


def _server() -> Server:
    return Server(settings.read())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    words = parser().parse_args()
    try:
        words.does(words)
    except Trouble as trouble:
        sys.exit(f"queues.sh: {trouble}")
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
