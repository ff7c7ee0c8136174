"""Remote procedure calls (RFC 6, flux_rpc(3))."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from operator import is_not
from typing import TYPE_CHECKING, Any
from weakref import ref

from flux._future import Failure, Future
from flux._payload import PayloadError, decode_json, decode_text, encode_payload
from flux.constants import (
    FLUX_MATCHTAG_NONE,
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGFLAG_UPSTREAM,
    FLUX_NODEID_ANY,
    FLUX_NODEID_UPSTREAM,
    FLUX_RPC_NORESPONSE,
    FLUX_RPC_STREAMING,
)
from flux.message import encode_topic

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux._codec import RequestEncoder
    from flux.core.handle import Flux

__all__ = ["RPC"]


class RPC(Future):
    """A request that was sent, and its responses to come.

    Args:
        flux_handle: The handle to send on.
        topic: Topic string of the method, ``service.method``.
        payload: None, a str or bytes sent unmodified, or any object to send as JSON.
        nodeid: Rank to address, ``FLUX_NODEID_ANY`` or ``FLUX_NODEID_UPSTREAM``.
        flags: ``FLUX_RPC_STREAMING`` for a method with several responses, which end with ENODATA;
            ``FLUX_RPC_NORESPONSE`` for one without any: the future is then ready at once.

    Raises:
        OSError: EINVAL, bad flags or nodeid, or no topic; EPROTO, the payload has a number that
            JSON has no form for; EPIPE, the connection is lost.
        TypeError: The topic is not a string, or the payload cannot be sent as JSON.
    """

    flux_handle: Flux
    _matchtag = FLUX_MATCHTAG_NONE

    def __init__(
        self,
        flux_handle: Flux,
        topic: str | bytes,
        payload: Any = None,
        nodeid: int = FLUX_NODEID_ANY,
        flags: int = 0,
    ) -> None:
        self.flux_handle = flux_handle
        session = flux_handle._session
        data = encode_payload(payload)
        try:
            encoder = session.encoders[topic, nodeid, flags]
        except KeyError:
            encoder = _encoder(flux_handle, topic, nodeid, flags)
        self.encoder = encoder
        if flags & FLUX_RPC_NORESPONSE:
            self.results = [None]
            session.request(None, encoder, data, FLUX_MATCHTAG_NONE)
        else:
            self.results = []
            # Not asked before whether there is one: somebody else may take it in between.
            try:
                tag = session._tags.pop()
            except IndexError:
                tag = session._new_tag()
            self._matchtag = tag
            session.request(self, encoder, data, tag)

    @property
    def _outstanding(self) -> bool:
        """Whether there are responses to come."""
        if self._matchtag == FLUX_MATCHTAG_NONE:
            return False
        # Another may have the matchtag by now.
        entry = self.flux_handle._session.rpcs.get(self._matchtag)
        return entry is not None and entry() is self

    def under_way(self) -> bool:
        """Return True if there are responses to come."""
        return self._outstanding

    def keeps_running(self) -> bool:
        """Return True if the reactor is to run on for the continuation."""
        # A stream whose continuation has not asked for more still keeps the reactor running, as
        # the next response may come at any time; but not after it failed.
        results = self.results
        if self._armed:
            return bool(results) or self._outstanding
        if self._then is None or (results and results[0].__class__ is Failure):
            return False
        return self._outstanding

    def get_str(self) -> str | None:
        """Wait for the response and return its payload as a string, None if it has none.

        Raises:
            OSError: The response is an error; ENODATA ends a streaming RPC.  EPROTO, the payload
                is not a string.  ECONNRESET, the connection was lost.
        """
        data = self._taken()
        return None if data is None else decode_text(data)

    def get(self) -> Any:
        """Wait for the response and return its payload, decoded from JSON.

        Returns:
            The JSON value, or None if there is no payload.

        Raises:
            OSError: The response is an error; ENODATA ends a streaming RPC.  EPROTO, the payload
                is not JSON.  ECONNRESET, the connection was lost.
        """
        results = self.results
        if not results:
            if not self._outstanding:
                self.wait_for()
            self.flux_handle._session.wait(results.__len__, -1.0)
        data = results[0]
        if data.__class__ is bytes:
            return decode_json(data)
        if data.__class__ is Failure:
            data.throw()
        return data

    def get_bytes(self) -> bytes | None:
        """Wait for the response and return its payload frame as it is, None if it has none.

        Raises:
            OSError: As `get`.
        """
        result: bytes | None = self._taken()
        return result

    def _decoded(self, result: Any) -> Any:
        if result is None or isinstance(result, Failure):
            return result
        try:
            return decode_json(result)
        except PayloadError as exc:
            return Failure(exc.errno or errno.EPROTO, exc.strerror)

    def _wait(self, timeout: float) -> None:
        if self._outstanding:
            self.flux_handle._session.wait(self.results.__len__, timeout)
        elif not self.results:
            super()._wait(timeout)

    def hand_over(self, other: RPC) -> None:
        """Let another RPC, which has not been sent, take the place of this one.

        Args:
            other: What gets the responses from now on.
        """
        other.__dict__.update(self.__dict__)
        if self._outstanding:
            self.flux_handle._session.rpcs[self._matchtag] = ref(other)
        self.results = []
        self._matchtag = FLUX_MATCHTAG_NONE

    def claim(self) -> Iterator[int]:
        """Return a claim to what is looked at from now on, good for one step."""
        return self.flux_handle._session.look(1)

    def take_first(self, claim: Iterator[int]) -> Iterator[Any]:
        """Return what, when it is advanced, goes on to the next response in one C call.

        It yields True, once and if the claim is still good.
        """
        self._await_next()
        return map(is_not, map(self.results.pop, claim), (self,))

    def get_matchtag(self) -> int:
        """Return the number that ties responses to the request."""
        return self._matchtag

    def cancel(self, topic: str | None = None) -> None:
        """Ask the service to end a stream (RFC 6).

        The service answers with an error response, ENODATA in general, after the responses it
        has already sent; the stream ends with that and not before.  Once it has ended this does
        nothing.

        Args:
            topic: Method to ask; ``cancel`` of the same service if None.
        """
        if not self._outstanding:
            return
        if topic is None:
            topic = self.encoder.topic.rpartition(".")[0] + ".cancel"
        RPC(
            self.flux_handle,
            topic,
            {"matchtag": self._matchtag},
            self.encoder.nodeid,
            FLUX_RPC_NORESPONSE,
        )

    def __iter__(self) -> Self:
        """Iterate over the responses of a stream, until ENODATA."""
        return self

    def __next__(self) -> Any:
        if not self._outstanding and not self.results:
            raise StopIteration
        try:
            value = self.get()
        except OSError as exc:
            if exc.errno == errno.ENODATA:
                raise StopIteration from None
            raise
        self.reset()
        return value

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if not self.results:
            if not self._outstanding and not self.results:
                raise StopAsyncIteration
            from flux._asyncio import Ready

            await Ready(self)
        try:
            return self.__next__()
        except StopIteration:
            raise StopAsyncIteration from None

    def __repr__(self) -> str:
        state = "outstanding" if self._outstanding else "done"
        return f"<flux.rpc.RPC {self.encoder.topic} {state}>"


def _encoder(flux_handle: Flux, topic: str | bytes, nodeid: int, flags: int) -> RequestEncoder:
    """Make the encoder for RPCs with certain arguments."""
    text = encode_topic(topic)
    if flags & ~(FLUX_RPC_NORESPONSE | FLUX_RPC_STREAMING):
        raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: unknown RPC flags {flags:#x}")
    bits = 0
    # The two exclude each other: a request that wants no response has no stream.
    if flags & FLUX_RPC_NORESPONSE:
        bits |= FLUX_MSGFLAG_NORESPONSE
    elif flags & FLUX_RPC_STREAMING:
        bits |= FLUX_MSGFLAG_STREAMING
    rank = nodeid
    if nodeid == FLUX_NODEID_UPSTREAM:
        bits |= FLUX_MSGFLAG_UPSTREAM
        rank = flux_handle.get_rank()
    session = flux_handle._session
    encoder = session.encoders[topic, nodeid, flags] = session.encoder(text, rank, bits)
    return encoder
