"""`JobStore`: the jobs' only door to the KVS (RFC 16).

Writes are gathered while a commit is under way, so that a burst of events costs few commits.
Reads come after all that was written before.
"""

from __future__ import annotations

import errno
import syslog
from collections import deque
from typing import Any, Callable

from flux.constants import (
    FLUX_KVS_APPEND,
    FLUX_KVS_READDIR,
    FLUX_KVS_TREEOBJ,
    FLUX_MSGTYPE_RESPONSE,
)
from flux.core.handle import Flux
from flux.devbroker._jobs._fluid import dothex
from flux.future import Future
from flux.kvs.treeobj import decode_val, val
from flux.message import Message

#: Bytes that one commit may carry, besides what cannot be split.
MAX_COMMIT = 1024 * 1024

#: Lookups that may be under way at a time; others wait for their turn.
MAX_LOOKUPS = 32

_NAMESPACE = "primary"

Done = Callable[[], None]
Got = Callable[[Any, int], None]


class _Write:
    """What is to be written to one key.

    Attributes:
        parts: Values, to be joined.
        done: Whom to tell once it is safe.
        append: Whether it follows what the key has.
        unlink: Whether the key is to be removed.
    """

    __slots__ = ("append", "done", "parts", "unlink")

    def __init__(self, append: bool) -> None:
        self.append = append
        self.parts: list[bytes] = []
        self.done: list[Done] = []
        self.unlink = False

    def op(self, key: str) -> dict[str, Any]:
        if self.unlink:
            return {"key": key, "flags": 0, "dirent": None}
        flags = FLUX_KVS_APPEND if self.append else 0
        return {"key": key, "flags": flags, "dirent": val(b"".join(self.parts))}


class JobStore:
    """Writes and reads what is kept of each job.

    Args:
        handle: The handle to send on.
        report: Takes exceptions of callbacks.
    """

    def __init__(self, handle: Flux, report: Callable[[Exception], Any]) -> None:
        self._handle = handle
        self._report = report
        self._failed = ""
        # Commits to come, in order; the last one still takes writes.
        self._queue: deque[dict[str, _Write]] = deque()
        self._size = 0
        self._committing = 0
        self._scheduled = False
        self._lookups = 0
        self._waiting: deque[tuple[dict[str, Any], Got]] = deque()
        self._timer = handle.timer_watcher_create(0.0, lambda *_args: self._flush())
        self._loads: deque[Callable[[bytes | None, int], None]] = deque()
        handle.msg_watcher_create(
            lambda _handle, _watcher, msg, _args: self._loaded(msg),
            FLUX_MSGTYPE_RESPONSE,
            "content.load",
        ).start()

    # -- writing

    def append(self, jobid: int, path: str, data: bytes, done: Done | None = None) -> None:
        """Add to the end of a value.

        Args:
            jobid: The job.
            path: Key within the job's directory.
            data: What to add.
            done: Called once it is safe.
        """
        self._write(f"job.{dothex(jobid)}.{path}", data, True, done)

    def put(self, jobid: int, path: str, data: bytes, done: Done | None = None) -> None:
        """Set a value; arguments as of `append`."""
        self._write(f"job.{dothex(jobid)}.{path}", data, False, done)

    def remove(self, jobid: int) -> None:
        """Remove all that is kept of a job."""
        write = self._write(f"job.{dothex(jobid)}", b"", False, None)
        write.unlink = True

    def put_key(self, key: str, data: bytes) -> None:
        """Set a value that belongs to no job."""
        self._write(key, data, False, None)

    def append_key(self, key: str, data: bytes) -> None:
        """Add to a value that belongs to no job."""
        self._write(key, data, True, None)

    def _write(self, key: str, data: bytes, append: bool, done: Done | None) -> _Write:
        if not self._queue or self._size >= MAX_COMMIT:
            self._queue.append({})
            self._size = 0
        writes = self._queue[-1]
        write = writes.get(key)
        if write is None:
            write = writes[key] = _Write(append)
        elif not append:
            write.parts.clear()
            write.append = False
        write.parts.append(data)
        if done is not None:
            write.done.append(done)
        self._size += len(data)
        if not self._committing and not self._scheduled:
            # At the end of this turn, with whatever else comes up in it.
            self._scheduled = True
            self._timer.reset()
        return write

    def flush(self) -> None:
        """Send what is to be written now."""
        while self._queue:
            self._commit()

    def _flush(self) -> None:
        self._scheduled = False
        if self._queue and not self._committing:
            self._commit()

    def _commit(self) -> None:
        writes = self._queue.popleft()
        self._committing += 1
        ops = [write.op(key) for key, write in writes.items()]
        request = {"namespace": _NAMESPACE, "flags": 0, "ops": ops}
        done = [callback for write in writes.values() for callback in write.done]
        self._handle.rpc("kvs.commit", request).then(self._committed, done)

    def _committed(self, future: Future, done: list[Done]) -> None:
        self._committing -= 1
        try:
            future.get()
        except OSError as exc:
            # Jobs go on without a record rather than not at all.
            if exc.strerror != self._failed:
                self._failed = exc.strerror or ""
                self._handle.log(syslog.LOG_ERR, f"cannot store the jobs' records: {exc.strerror}")
        else:
            self._failed = ""
        for callback in done:
            # Each is another job's.
            try:
                callback()
            except Exception as exc:  # noqa: PERF203 - it costs nothing where there is none
                self._report(exc)
        # Not one within the other: the callbacks may have written more.
        if self._queue and not self._committing:
            self._commit()

    def idle(self) -> bool:
        """Return True if all that was written is safe."""
        return not self._queue and not self._committing

    # -- reading

    def get(self, jobid: int, path: str, got: Callable[[bytes | None, int], None]) -> None:
        """Read a value.

        Args:
            jobid: The job.
            path: Key within the job's directory.
            got: Called with the value and 0, or None and an errno.
        """

        def decoded(treeobj: Any, errnum: int) -> None:
            if errnum:
                got(None, errnum)
            else:
                got(decode_val(treeobj), 0)

        self._lookup(f"job.{dothex(jobid)}.{path}", 0, decoded)

    def directory(self, key: str, got: Callable[[dict[str, Any], int], None]) -> None:
        """Read the entries of a directory; ``got`` is called with them and an errno."""
        self._lookup(
            key, FLUX_KVS_READDIR, lambda obj, errnum: got({} if errnum else obj["data"], errnum)
        )

    def stream(
        self,
        jobid: int,
        path: str,
        start: int,
        part: Callable[[bytes], bool],
        end: Callable[[int], None],
    ) -> None:
        """Read a value that may be long, in the parts in which it was appended.

        Args:
            jobid: The job.
            path: Key within the job's directory.
            start: How many parts to leave out.
            part: Called with each part; returns whether it wants more.
            end: Called after the last one, with 0, or with an errno.
        """

        def found(treeobj: Any, errnum: int) -> None:
            if errnum:
                end(errnum)
            elif treeobj["type"] == "val":
                if not start and not part(decode_val(treeobj)):
                    return
                end(0)
            elif treeobj["type"] == "valref":
                following(iter(treeobj["data"][start:]))
            else:
                end(errno.EISDIR)

        def following(refs: Any) -> None:
            ref = next(refs, None)
            if ref is None:
                end(0)
                return
            blobref = bytes.fromhex(ref.partition("-")[2])
            self._load(blobref, lambda data, errnum: loaded(refs, data, errnum))

        def loaded(refs: Any, data: bytes | None, errnum: int) -> None:
            if errnum or data is None:
                end(errnum or errno.EIO)
            elif part(data):
                following(refs)

        self._lookup(f"job.{dothex(jobid)}.{path}", FLUX_KVS_TREEOBJ, found)

    def _load(self, blobref: bytes, got: Callable[[bytes | None, int], None]) -> None:
        # Blobs are raw payloads, which an RPC cannot have.  Without a matchtag the responses come
        # to `_loaded`, in the order of the requests.
        self._loads.append(got)
        request = self._handle.request_encode("content.load")
        request.payload_bytes = blobref
        self._handle.send(request)

    def _loaded(self, msg: Message) -> None:
        self._loads.popleft()(None if msg.errnum else msg.payload_bytes or b"", msg.errnum)

    def _lookup(self, key: str, flags: int, got: Got) -> None:
        self._waiting.append(({"key": key, "namespace": _NAMESPACE, "flags": flags}, got))
        self._next_lookup()

    def _next_lookup(self) -> None:
        while self._waiting and self._lookups < MAX_LOOKUPS:
            # What was written before must be there; the KVS takes requests in order.
            self.flush()
            request, got = self._waiting.popleft()
            self._lookups += 1
            self._handle.rpc("kvs.lookup", request).then(self._looked_up, got)

    def _looked_up(self, future: Future, got: Got) -> None:
        self._lookups -= 1
        try:
            treeobj, errnum = future.get()["val"], 0
        except OSError as exc:
            treeobj, errnum = None, exc.errno or errno.EIO
        got(treeobj, errnum)
        self._next_lookup()
