"""A tour with real traffic: a broker, two processes, requests, events, a module, the log, a job.

Run by `nox -s demo`, or by hand where the distributions are installed.  Nothing else is needed;
the same code runs on a flux-core instance if it is started there (`flux start python demo.py`).
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import syslog
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import flux
import flux.constants
import flux.job
from flux.job.event import event_wait, event_watch
from flux.job.wait import wait

HERE = Path(__file__).parent


def say(text: str) -> None:
    """Tell the reader what comes next."""
    print(f"\n{text}", flush=True)


def show(text: Any) -> None:
    """Print what was received."""
    print(f"    {text}", flush=True)


def requests(handle: flux.Flux) -> None:
    """RPCs, waited for and by continuation."""
    say("1. A request and its response. `rpc` sends at once and returns a future; `get` waits.")
    future = handle.rpc("broker.ping", {"seq": 1, "pad": "hello"})
    show(f"sent     broker.ping {{'seq': 1, 'pad': 'hello'}}, matchtag {future.get_matchtag()}")
    response = future.get()
    show(f"received {response}")
    show(f"its way  {response['route']}: this connection, the socket's server, the broker")

    say("2. Ten requests under way at once; the reactor calls back as the responses arrive.")
    order: list[int] = []
    for seq in range(10):
        handle.rpc("broker.ping", {"seq": seq}).then(lambda f: order.append(f.get()["seq"]))
    handle.reactor_run()
    show(f"responses in order of arrival: {order}")

    say("3. Errors are OSError, with the errno and the text that the service sent.")
    try:
        handle.rpc("nosuchservice.hello").get()
    except OSError as exc:
        show(f"{errno.errorcode[exc.errno or 0]}: {exc.strerror}")


def service(handle: flux.Flux) -> None:
    """A service in another process, which registers it with the broker."""
    say("4. A second process registers the service `greeter`. Its whole program:")
    program = HERE / "greeter.py"
    for line in program.read_text().splitlines()[2:]:
        show(line)
    handle.event_subscribe("greeter.")
    server = subprocess.Popen([sys.executable, str(program)], stdin=subprocess.PIPE)
    try:
        event = handle.event_recv("greeter.ready")
        assert event is not None
        say("   It published an event when it was ready, which this process had subscribed to:")
        show(f"event {event.topic}, sequence number {event.seq}, payload {event.payload}")
        say("   Now this process calls it, through the broker:")
        show(f"greeter.hello -> {handle.rpc('greeter.hello', {'name': 'newcomer'}).get()}")
        say("   A method may answer many times: a stream, which ends with ENODATA.")
        for response in handle.rpc(
            "greeter.count", {"to": 3}, flags=flux.constants.FLUX_RPC_STREAMING
        ):
            show(f"greeter.count -> {response}")
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
    say("   The process has ended; the broker noticed and took its service away:")
    try:
        handle.rpc("greeter.hello", {"name": "anybody"}).get()
    except OSError as exc:
        show(exc.strerror)


def module(handle: flux.Flux) -> None:
    """A broker module, which the broker runs in a process of its own."""
    path = HERE / "modules" / "counter.py"
    say(f"5. A broker module: `flux module load {path.name} runs=41`, said in Python.")
    handle.rpc("module.load", {"path": str(path), "args": ["runs=41"]}).get()
    show("loaded: the broker has answered, so it is running")
    response = handle.rpc("counter.ping", {"seq": 0}).get()
    show(f"counter.ping -> {response['route']}: one hop more, to the module's process")
    show(f"counter.add -> {handle.rpc('counter.add', {'name': 'runs'}).get()}")
    response = handle.rpc("counter.debug", {"op": "setbit", "flags": 0x10}).get()
    show(f"`flux module debug --setbit 0x10 counter` -> {response['flags']:#x}")
    handle.rpc("module.remove", {"name": "counter"}).get()
    show("removed. What the log has to say of it:")
    show_log(handle, "counter")


def log(handle: flux.Flux) -> None:
    """The broker's log."""
    say("6. The broker keeps a log that everybody can write to; `flux dmesg` shows it.")
    handle.log(syslog.LOG_INFO, "the demo was here")
    show_log(handle, "demo")


def show_log(handle: flux.Flux, word: str) -> None:
    """Print the lines of the broker's log that have a word in them."""
    stream = handle.rpc("log.dmesg", {"follow": False}, flags=flux.constants.FLUX_RPC_STREAMING)
    try:
        while True:
            line = stream.get_str() or ""
            if word in line:
                show(line)
            stream.reset()
    except OSError as exc:
        if exc.errno != errno.ENODATA:
            raise


def jobs(handle: flux.Flux) -> None:
    """A job: a real command, followed by its events and its output."""
    say("7. A job runs a real command. Its events, as they happen:")
    script = "for i in 1 2 3; do echo hello $i; sleep 0.1; done"
    jobspec = {
        "version": 1,
        "resources": [
            {"type": "slot", "count": 1, "label": "t", "with": [{"type": "core", "count": 1}]}
        ],
        "tasks": [{"command": ["sh", "-c", script], "slot": "t", "count": {"per_slot": 1}}],
        "attributes": {
            "system": {
                "duration": 0,
                "cwd": os.getcwd(),
                "environment": dict(os.environ),
                "job": {"name": "demo"},
            }
        },
    }
    jobid = flux.job.submit(handle, jobspec, waitable=True)
    show(f"submitted {jobid.f58}: sh -c '{script}'")
    for event in event_watch(handle, jobid):
        show(f"{event.name} {event.context_string}")
        if event.name == "start":
            # The eventlog of its output is there from this event of the job's shell on.
            event_wait(handle, jobid, "shell.init", "guest.exec.eventlog")
            say("   It runs. What it prints, as it prints it:")
            for output in event_watch(handle, jobid, "guest.output"):
                if "data" in output.context:
                    show(f"{output.context['stream']}: {output.context['data']!r}")
            say("   It has closed its output; the rest of its events:")
    result = wait(handle, jobid)
    show(f"result: {'success' if result.success else result.errstr}")
    say("   Where its time went, as `flux job timeline` shows it:")
    command = [sys.executable, "-m", "flux.devbroker", "job", "timeline", jobid.f58]
    for line in subprocess.check_output(command, text=True, encoding="utf-8").splitlines():
        show(line)


def main() -> None:
    """Start a development broker, unless one was given, and show everything on it."""
    with ExitStack() as stack:
        if "FLUX_URI" not in os.environ:
            say("Starting a development broker: rank 0 of 1, in a process of its own.")
            from flux.devbroker import Broker

            broker = stack.enter_context(Broker())
            os.environ["FLUX_URI"] = broker.uri
        handle = flux.Flux()
        stack.callback(handle.__exit__, None, None, None)
        show(f"connected to {os.environ['FLUX_URI']}")
        show(f"broker version {handle.attr_get('version')}, rank {handle.get_rank()}")
        requests(handle)
        service(handle)
        module(handle)
        log(handle)
        jobs(handle)
    say("That was the tour. README.md says where to go from here.")


if __name__ == "__main__":
    main()
