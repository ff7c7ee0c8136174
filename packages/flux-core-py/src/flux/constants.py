"""The ``FLUX_*`` constants of the Flux wire protocol and handle API.

Names and values are those of flux-core's public headers; see RFC 3 (messages), RFC 6 (RPC),
RFC 12 (credentials) and :linux:man3:`flux_open`.
"""

from __future__ import annotations

from typing import Final

# Message types (RFC 3).
FLUX_MSGTYPE_REQUEST: Final = 0x01
FLUX_MSGTYPE_RESPONSE: Final = 0x02
FLUX_MSGTYPE_EVENT: Final = 0x04
FLUX_MSGTYPE_CONTROL: Final = 0x08
FLUX_MSGTYPE_ANY: Final = 0x0F
FLUX_MSGTYPE_MASK: Final = 0x0F

# Message flags (RFC 3).
FLUX_MSGFLAG_TOPIC: Final = 0x01
FLUX_MSGFLAG_PAYLOAD: Final = 0x02
FLUX_MSGFLAG_NORESPONSE: Final = 0x04
FLUX_MSGFLAG_ROUTE: Final = 0x08
FLUX_MSGFLAG_UPSTREAM: Final = 0x10
FLUX_MSGFLAG_PRIVATE: Final = 0x20
FLUX_MSGFLAG_STREAMING: Final = 0x40
FLUX_MSGFLAG_USER1: Final = 0x80

# Request addressing (RFC 3). UPSTREAM is for callers only and never sent.
FLUX_NODEID_ANY: Final = 0xFFFFFFFF
FLUX_NODEID_UPSTREAM: Final = 0xFFFFFFFE

FLUX_MATCHTAG_NONE: Final = 0

# Credentials (RFC 12).
FLUX_USERID_UNKNOWN: Final = 0xFFFFFFFF
FLUX_ROLE_NONE: Final = 0
FLUX_ROLE_OWNER: Final = 0x01
FLUX_ROLE_USER: Final = 0x02
FLUX_ROLE_LOCAL: Final = 0x04
FLUX_ROLE_ADMIN: Final = 0x08
FLUX_ROLE_ALL: Final = 0xFFFFFFFF
FLUX_ROLE_PRIVILEGED: Final = FLUX_ROLE_OWNER | FLUX_ROLE_ADMIN

# RPC flags (RFC 6).
FLUX_RPC_NORESPONSE: Final = 1
FLUX_RPC_STREAMING: Final = 2

# Handle flags, flux_open(3).
FLUX_O_TRACE: Final = 1
FLUX_O_CLONE: Final = 2
FLUX_O_NONBLOCK: Final = 4
FLUX_O_MATCHDEBUG: Final = 8
FLUX_O_TEST_NOSUB: Final = 16
FLUX_O_RPCTRACK: Final = 32
FLUX_O_NOREQUEUE: Final = 64

# flux_requeue(3).
FLUX_RQ_HEAD: Final = 1
FLUX_RQ_TAIL: Final = 2

# Reactor and fd watchers, flux_reactor_create(3), flux_fd_watcher_create(3).
FLUX_POLLIN: Final = 1
FLUX_POLLOUT: Final = 2
FLUX_POLLERR: Final = 4
FLUX_REACTOR_NOWAIT: Final = 1
FLUX_REACTOR_ONCE: Final = 2

# flux_event_publish(3).
FLUX_EVENT_PRIVATE: Final = 1

# flux_conf_builtin_get(3).
FLUX_CONF_INSTALLED: Final = 0
FLUX_CONF_INTREE: Final = 1
FLUX_CONF_AUTO: Final = 2

# Lookups and operations of the KVS, flux_kvs_lookup(3), flux_kvs_txn_create(3).
FLUX_KVS_READDIR: Final = 1
FLUX_KVS_READLINK: Final = 2
FLUX_KVS_WATCH: Final = 4
FLUX_KVS_WAITCREATE: Final = 8
FLUX_KVS_TREEOBJ: Final = 16
FLUX_KVS_APPEND: Final = 32
FLUX_KVS_WATCH_FULL: Final = 64
FLUX_KVS_WATCH_UNIQ: Final = 128
FLUX_KVS_WATCH_APPEND: Final = 256
FLUX_KVS_STREAM: Final = 512
FLUX_KVS_WATCH_INITIAL_SENTINEL: Final = 1024

# Commits, flux_kvs_commit(3).
FLUX_KVS_NO_MERGE: Final = 1
FLUX_KVS_TXN_COMPACT: Final = 2
FLUX_KVS_SYNC: Final = 4

# Jobs (RFC 21), flux_job_submit(3), flux_job_event_watch(3), flux_job_wait(3).
FLUX_JOB_PRE_SIGNED: Final = 1
FLUX_JOB_DEBUG: Final = 2
FLUX_JOB_WAITABLE: Final = 4
FLUX_JOB_NOVALIDATE: Final = 8
FLUX_JOB_EVENT_WATCH_WAITCREATE: Final = 1
FLUX_JOB_EVENT_WATCH_INITIAL_SENTINEL: Final = 2
FLUX_JOB_LOOKUP_JSON_DECODE: Final = 1
FLUX_JOB_LOOKUP_CURRENT: Final = 2
FLUX_JOB_URGENCY_MIN: Final = 0
FLUX_JOB_URGENCY_HOLD: Final = 0
FLUX_JOB_URGENCY_DEFAULT: Final = 16
FLUX_JOB_URGENCY_MAX: Final = 31
FLUX_JOB_URGENCY_EXPEDITE: Final = 31
FLUX_JOB_PRIORITY_MIN: Final = 0
FLUX_JOB_PRIORITY_MAX: Final = 0xFFFFFFFF
FLUX_JOB_STATE_NEW: Final = 1
FLUX_JOB_STATE_DEPEND: Final = 2
FLUX_JOB_STATE_PRIORITY: Final = 4
FLUX_JOB_STATE_SCHED: Final = 8
FLUX_JOB_STATE_RUN: Final = 16
FLUX_JOB_STATE_CLEANUP: Final = 32
FLUX_JOB_STATE_INACTIVE: Final = 64
FLUX_JOB_STATE_PENDING: Final = 14
FLUX_JOB_STATE_RUNNING: Final = 48
FLUX_JOB_STATE_ACTIVE: Final = 62
FLUX_JOB_RESULT_COMPLETED: Final = 1
FLUX_JOB_RESULT_FAILED: Final = 2
FLUX_JOB_RESULT_CANCELED: Final = 4
FLUX_JOB_RESULT_TIMEOUT: Final = 8
FLUX_JOBID_ANY: Final = 0xFFFFFFFFFFFFFFFF

__all__ = [name for name in dir() if name.startswith("FLUX_")]
