"""Remote procedure calls (RFC 6, flux_rpc(3))."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from flux._future import PENDING, Failure, Future
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
    _outstanding = False

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
            session.send(encoder.encode(data, FLUX_MATCHTAG_NONE))
            self._result = None
        else:
            self._matchtag = session.request(self, encoder, data)
            self._outstanding = True

    def deliver(self, errnum: int, data: bytes | None, streaming: int) -> None:
        """Take a response; called by the session."""
        result: Any = data
        if errnum:
            result = Failure(errnum, data)
            streaming = 0
        if not streaming:
            self._outstanding = False
            if self._then is not None and not self._armed:
                # A stream has ended whose continuation had not asked for more.
                self._release()
        self.fulfill(result)

    def fail(self, failure: Failure) -> None:
        """End the RPC with an error; called by the session."""
        self._outstanding = False
        self.fulfill(failure)

    def get_str(self) -> str | None:
        """Wait for the response and return its payload as a string, None if it has none.

        Raises:
            OSError: The response is an error; ENODATA ends a streaming RPC.  EPROTO, the payload
                is not a string.  ECONNRESET, the connection was lost.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        data = Future.get(self)
        return None if data is None else decode_text(data)

    def get(self) -> Any:
        """Wait for the response and return its payload, decoded from JSON.

        Returns:
            The JSON value, or None if there is no payload.

        Raises:
            OSError: The response is an error; ENODATA ends a streaming RPC.  EPROTO, the payload
                is not JSON.  ECONNRESET, the connection was lost.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        data = self._result
        if data is PENDING and self._outstanding:
            self.flux_handle._session.wait(self.is_ready, -1.0)
            data = self._result
        if data.__class__ is bytes:
            return decode_json(data)
        return Future.get(self)

    def get_bytes(self) -> bytes | None:
        """Wait for the response and return its payload frame as it is, None if it has none.

        Raises:
            OSError: As `get`.
        """
        result: bytes | None = Future.get(self)
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
            self.flux_handle._session.wait(self.is_ready, timeout)
        else:
            super()._wait(timeout)

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

    def __iter__(self) -> RPC:
        """Iterate over the responses of a stream, until ENODATA."""
        return self

    def __next__(self) -> Any:
        if self._result is PENDING and not self._outstanding:
            raise StopIteration
        try:
            value = self.get()
        except OSError as exc:
            if exc.errno == errno.ENODATA:
                raise StopIteration from None
            raise
        if self._outstanding or self._queue:
            self.reset()
        else:
            self._result = PENDING
        return value

    def __aiter__(self) -> RPC:
        return self

    async def __anext__(self) -> Any:
        if self._result is PENDING:
            if not self._outstanding:
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
