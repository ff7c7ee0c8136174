"""A service in twenty lines; the demo shows and runs it."""

import errno
import sys

import flux
from flux.constants import FLUX_MSGTYPE_REQUEST

handle = flux.Flux()
handle.service_register("greeter").get()


def hello(handle, watcher, msg, args):
    handle.respond(msg, {"greeting": f"hello, {msg.payload['name']}"})


def count(handle, watcher, msg, args):
    for n in range(msg.payload["to"]):
        handle.respond(msg, {"n": n + 1})
    handle.respond_error(msg, errno.ENODATA)


handle.msg_watcher_create(hello, FLUX_MSGTYPE_REQUEST, "greeter.hello").start()
handle.msg_watcher_create(count, FLUX_MSGTYPE_REQUEST, "greeter.count").start()
# Standard input closes when the demo is through.
handle.fd_watcher_create(sys.stdin.fileno(), lambda h, *_: h.reactor_stop(), 1).start()
handle.event_send("greeter.ready", {"methods": ["hello", "count"]})
handle.reactor_run()
