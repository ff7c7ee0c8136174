"""``flux kvs`` commands for names rather than values: links, directories, roots, namespaces."""

from __future__ import annotations

import argparse
import errno
from functools import partial
from typing import Callable

import flux.kvs
from flux.command._commands._kvs_client import (
    Kvs,
    add_namespace,
    add_result,
    checked,
    emit_json,
    emit_result,
)
from flux.command._commands._kvs_show import link_text
from flux.command._common import CommandError, Parser, emit
from flux.constants import (
    FLUX_KVS_READDIR,
    FLUX_KVS_READLINK,
    FLUX_KVS_SYNC,
    FLUX_KVS_TREEOBJ,
)
from flux.kvs.treeobj import is_directory

# -- keys


def _setup_unlink(parser: Parser) -> None:
    add_result(parser)
    parser.add_argument("-R", "--recursive", action="store_true", help="with what is below")
    parser.add_argument("-f", "--force", action="store_true", help="even if there is no such key")
    parser.add_argument("keys", nargs="+", metavar="key")


def _unlink(args: argparse.Namespace, kvs: Kvs) -> int:
    txn = kvs.txn()
    for key in args.keys:
        try:
            obj = kvs.look_up(key, FLUX_KVS_TREEOBJ).get_treeobj()
        except OSError as exc:
            if exc.errno == errno.ENOENT and args.force:
                continue
            raise CommandError(f"cannot unlink '{key}': {exc.strerror}") from None
        if is_directory(obj) and not args.recursive and kvs.lookup(key, FLUX_KVS_READDIR)["data"]:
            raise CommandError(f"cannot unlink '{key}': Directory not empty")
        txn.unlink(key)
    return emit_result(args, kvs.commit(txn))


def _setup_link(parser: Parser) -> None:
    add_result(parser)
    parser.add_argument("-T", "--target-namespace", metavar="NS", help="namespace of the target")
    parser.add_argument("target")
    parser.add_argument("linkname")


def _link(args: argparse.Namespace, kvs: Kvs) -> int:
    txn = kvs.txn()
    link = partial(txn.symlink, args.linkname, args.target)
    checked(args.linkname, partial(link, target_namespace=args.target_namespace))
    return emit_result(args, kvs.commit(txn))


def _setup_readlink(parser: Parser) -> None:
    add_namespace(parser)
    parser.add_argument("-a", "--at", metavar="TREEOBJ", help="look it up in a former root")
    parser.add_argument("-o", "--namespace-only", action="store_true", help="the namespace alone")
    parser.add_argument("-k", "--key-only", action="store_true", help="the key alone")
    parser.add_argument("keys", nargs="+", metavar="key")


def _readlink(args: argparse.Namespace, kvs: Kvs) -> int:
    for key in args.keys:
        obj = kvs.lookup(key, FLUX_KVS_READLINK)
        if args.namespace_only and "namespace" in obj["data"]:
            emit(obj["data"]["namespace"])
        elif args.key_only:
            emit(obj["data"]["target"])
        else:
            emit(link_text(obj))
    return 0


def _setup_mkdir(parser: Parser) -> None:
    add_result(parser)
    parser.add_argument("keys", nargs="+", metavar="key")


def _mkdir(args: argparse.Namespace, kvs: Kvs) -> int:
    txn = kvs.txn()
    for key in args.keys:
        checked(key, partial(txn.mkdir, key))
    return emit_result(args, kvs.commit(txn))


def _setup_copy(parser: Parser) -> None:
    parser.add_argument("-S", "--src-namespace", metavar="NS", help="namespace of the source")
    parser.add_argument("-D", "--dst-namespace", metavar="NS", help="namespace of the destination")
    parser.add_argument("source")
    parser.add_argument("destination")


def _copy(args: argparse.Namespace, kvs: Kvs) -> int:
    source, destination = Kvs(args.src_namespace), Kvs(args.dst_namespace)
    lookup = source.look_up(args.source, FLUX_KVS_TREEOBJ)
    obj = checked(f"flux_kvs_{args.kvs}", lookup.get_treeobj)
    txn = destination.txn()
    checked(args.destination, partial(txn.put_treeobj, args.destination, obj))
    destination.commit(txn)
    if args.kvs == "move":
        txn = source.txn()
        txn.unlink(args.source)
        source.commit(txn)
    return 0


# -- roots


def _version(args: argparse.Namespace, kvs: Kvs) -> int:
    emit(str(kvs.getroot().sequence))
    return 0


def _setup_wait(parser: Parser) -> None:
    add_namespace(parser)
    parser.add_argument("version", type=int)


def _wait(args: argparse.Namespace, kvs: Kvs) -> int:
    wait = partial(flux.kvs.wait_version, kvs.handle, args.version, kvs.namespace)
    checked("flux_kvs_wait_version", wait)
    return 0


def _setup_getroot(parser: Parser) -> None:
    add_namespace(parser)
    parser.add_argument("-s", "--sequence", action="store_true", help="print the sequence number")
    parser.add_argument("-o", "--owner", action="store_true", help="print the owner")
    parser.add_argument("-b", "--blobref", action="store_true", help="print the blobref")


def _getroot(args: argparse.Namespace, kvs: Kvs) -> int:
    root = kvs.getroot()
    if args.owner:
        emit(str(root.owner))
    elif args.sequence:
        emit(str(root.sequence))
    elif args.blobref:
        emit(root.ref)
    else:
        emit_json(root.treeobj())
    return 0


def _sync(args: argparse.Namespace, kvs: Kvs) -> int:
    kvs.commit(kvs.txn(), FLUX_KVS_SYNC)
    return 0


# -- namespaces


def _setup_namespace(parser: Parser) -> None:
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="make namespaces")
    create.add_argument("-o", "--owner", type=int, default=-1, metavar="UID", help="their owner")
    create.add_argument("-r", "--rootref", metavar="REF", help="their root")
    create.add_argument("names", nargs="+", metavar="name")
    remove = commands.add_parser("remove", help="remove namespaces")
    remove.add_argument("names", nargs="+", metavar="name")
    commands.add_parser("list", help="list all namespaces")


def _namespace(args: argparse.Namespace, kvs: Kvs) -> int:
    if args.command == "list":
        rpc = kvs.handle.rpc("kvs.namespace-list")
        emit("NAMESPACE                                 OWNER      FLAGS")
        for entry in checked("flux_rpc_get_unpack", rpc.get)["namespaces"]:
            emit(f"{entry['namespace']:<36} {entry['owner']:>10} 0x{entry['flags']:08X}")
        return 0
    for name in args.names:
        if args.command == "create":
            create = partial(flux.kvs.namespace_create, kvs.handle, name, args.owner)
            checked(name, partial(create, at=args.rootref))
        else:
            checked(name, partial(flux.kvs.namespace_remove, kvs.handle, name))
    return 0


#: How to declare its arguments, what it does, and what for, by command.
COMMANDS: dict[
    str, tuple[Callable[[Parser], None], Callable[[argparse.Namespace, Kvs], int], str]
] = {
    "unlink": (_setup_unlink, _unlink, "remove keys"),
    "link": (_setup_link, _link, "make a symbolic link"),
    "readlink": (_setup_readlink, _readlink, "print where links lead"),
    "mkdir": (_setup_mkdir, _mkdir, "make directories"),
    "copy": (_setup_copy, _copy, "copy a key"),
    "move": (_setup_copy, _copy, "move a key"),
    "version": (add_namespace, _version, "print the root sequence number"),
    "wait": (_setup_wait, _wait, "wait for a root sequence number"),
    "getroot": (_setup_getroot, _getroot, "print the root"),
    "sync": (lambda parser: None, _sync, "wait until everything is on the disk"),
    "namespace": (_setup_namespace, _namespace, "make, remove and list namespaces"),
}
