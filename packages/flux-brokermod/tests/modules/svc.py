"""The module of the recorded conversations about services."""

from flux.brokermod import BrokerModule, request_handler
from flux.constants import FLUX_RPC_STREAMING


class Svc(BrokerModule):
    def attempt(self, msg, future):
        try:
            future.get()
        except OSError as exc:
            self.handle.respond(msg, {"errno": exc.errno, "text": exc.strerror})
        else:
            self.handle.respond(msg)

    @request_handler("addsvc")
    def addsvc(self, msg):
        self.attempt(msg, self.handle.service_register(msg.payload["service"]))

    @request_handler("rmsvc")
    def rmsvc(self, msg):
        self.attempt(msg, self.handle.service_unregister(msg.payload["service"]))

    @request_handler("extra.hello", prefix=False)
    def hello(self, msg):
        self.handle.respond(msg, {"hello": 1})

    @request_handler("watch")
    def watch(self, msg):
        request = {"follow": True, "nobacklog": True}
        self.stream = self.handle.rpc("log.dmesg", request, flags=FLUX_RPC_STREAMING)
        self.handle.respond(msg)

    @request_handler("never")
    def never(self, msg):
        pass
