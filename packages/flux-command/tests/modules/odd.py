"""A module that does what modules should not do, when told to."""

import os
import signal
import sys

from flux.brokermod import BrokerModule, request_handler


class Odd(BrokerModule):
    def __init__(self, h, *args):
        super().__init__(h, *args)
        if "hang" in args:
            signal.pause()
        if "exit" in args:
            os._exit(0)
        if "everything" in args:
            h.event_subscribe("")
        sys.stdout.write("odd was here\n")
        sys.stdout.flush()

    @request_handler("nothing")
    def nothing(self, msg):
        return

    @request_handler("twice")
    def twice(self, msg):
        self.handle.respond(msg, {"n": 1})
        self.handle.respond(msg, {"n": 2})

    @request_handler("always")
    def always(self, msg):
        # Whether an answer is wanted or not.
        answer = msg.respond(b'{"n":0}\0')
        self.handle.send(answer)

    @request_handler("crash")
    def crash(self, msg):
        raise RuntimeError("crashed")

    @request_handler("exit")
    def exit(self, msg):
        os._exit(msg.payload["code"])

    @request_handler("stubborn")
    def stubborn(self, msg):
        self.handle.respond(msg)
        # When that is on its way.
        self.timer = self.handle.timer_watcher_create(0.0, self.hang)
        self.timer.start()

    def hang(self, *_args):
        # Neither messages nor the end of them are noticed from here on.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()

    @request_handler("flood")
    def flood(self, msg):
        for number in range(msg.payload["count"]):
            text = f"line {number}"
            self.log.info(text)
        self.handle.respond(msg)

    @request_handler("args")
    def arguments(self, msg):
        self.handle.respond(msg, {"args": self.args, "pid": os.getpid(), "stdin": sys.stdin.read()})
