"""A service in twenty lines; the demo shows and runs it."""

import errno
import sys
from typing import Any

import flux
from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_POLLIN


def hello(handle: flux.Flux, watcher: Any, msg: flux.Message, args: Any) -> None:
    handle.respond(msg, {"greeting": f"hello, {msg.payload['name']}"})


def count(handle: flux.Flux, watcher: Any, msg: flux.Message, args: Any) -> None:
    for n in range(msg.payload["to"]):
        handle.respond(msg, {"n": n + 1})
    handle.respond_error(msg, errno.ENODATA)


handle = flux.Flux()
handle.service_register("greeter").get()
handle.msg_watcher_create(hello, FLUX_MSGTYPE_REQUEST, "greeter.hello").start()
handle.msg_watcher_create(count, FLUX_MSGTYPE_REQUEST, "greeter.count").start()
# Standard input closes when the demo is through.
handle.fd_watcher_create(sys.stdin.fileno(), lambda h, *_: h.reactor_stop(), FLUX_POLLIN).start()
handle.event_send("greeter.ready", {"methods": ["hello", "count"]})
handle.reactor_run()
