"""The module of most recorded conversations."""

from flux.brokermod import BrokerModule, event_handler, request_handler


class Demo(BrokerModule):
    def __init__(self, h, *args):
        super().__init__(h, *args)
        text = f"args={args}"
        self.log.info(text)

    @request_handler("info")
    def info(self, msg):
        self.handle.respond(msg, {"name": self.name, "args": list(self.args)})

    @request_handler("rank")
    def rank(self, msg):
        self.handle.respond(msg, {"rank": self.handle.get_rank()})

    @request_handler("callout")
    def callout(self, msg):
        self.handle.respond(msg, self.handle.rpc("attr.get", {"name": "version"}).get())

    @request_handler("crash")
    def crash(self, msg):
        raise RuntimeError("crashed")

    @event_handler("poke")
    def poke(self, msg):
        self.log.info("poked")
