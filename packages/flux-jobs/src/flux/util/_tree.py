"""Trees drawn with lines, as pstree(1) draws them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Tree"]


class _Connectors(NamedTuple):
    PIPE: str
    TEE: str
    ELBOW: str
    BLANK: str


class Tree:
    """A node with its children.

    Args:
        label: The text of the node.
        prefix: Text in a column of its own, before the lines.
        combine_children: Show children that are alike as one, with their number.
    """

    Connectors = _Connectors
    connector_styles = {  # noqa: RUF012
        "ascii": _Connectors("|   ", "|-- ", "`-- ", "    "),
        "box": _Connectors("│   ", "├── ", "└── ", "    "),
        "compact": _Connectors("│ ", "├─", "└─", "  "),
    }

    def __init__(self, label: str, prefix: str = "", combine_children: bool = False) -> None:
        self.label = label
        self.prefix = f"{prefix} " if prefix else ""
        self.combine_children = combine_children
        self.children: list[Tree] = []
        self.duplicate_count = 1
        #: Children that may stand for others like them.
        self.duplicates: dict[tuple[str, str], Tree] = {}

    def append(self, label: str, prefix: str = "") -> Tree:
        """Add a child, or count it with one that is like it.

        Args:
            label: As for a tree.
            prefix: As for a tree.

        Returns:
            The child that stands for it.
        """
        return self.append_tree(Tree(label, prefix, self.combine_children))

    def append_tree(self, tree: Tree) -> Tree:
        """Add a tree as a child, or count it with a child that is like it; see `append`.

        One with children of its own is like no other.
        """
        if not self.combine_children or tree.children:
            self.children.append(tree)
            return tree
        key = (tree.prefix, tree.label)
        found = self.duplicates.get(key)
        if found is None:
            self.duplicates[key] = tree
            self.children.append(tree)
            return tree
        found.increment()
        return found

    def add(self, label: str, prefix: str = "", combine_children: bool = False) -> Tree:
        """Add a child in any case.

        Args:
            label: As for a tree.
            prefix: As for a tree.
            combine_children: As for a tree.

        Returns:
            The child.
        """
        tree = Tree(label, prefix, combine_children)
        self.children.append(tree)
        return tree

    def increment(self) -> None:
        """Count one more that is like this node."""
        self.duplicate_count += 1

    def _lines(
        self, style: _Connectors, levels: int | None, lead: str = "", connector: str = ""
    ) -> Iterator[str]:
        count = self.duplicate_count
        label = f"{count}*[{self.label}]" if count > 1 else self.label
        yield f"{self.prefix}{lead}{connector}{label}"
        if levels == 0:
            return
        below = None if levels is None else levels - 1
        if connector:
            lead += style.BLANK if connector == style.ELBOW else style.PIPE
        for child in self.children:
            last = child is self.children[-1]
            yield from child._lines(style, below, lead, style.ELBOW if last else style.TEE)

    def render(
        self,
        style: str = "box",
        level: int | None = None,
        skip_root: bool = False,
        truncate: bool = True,
    ) -> None:
        """Write the tree to standard output.

        Args:
            style: ``box``, ``compact`` or ``ascii``.
            level: How many levels below the root to show; None: all.
            skip_root: Show the children as trees of their own.
            truncate: Cut lines off at the width of the terminal.

        Raises:
            ValueError: There is no such style.
        """
        connectors = self.connector_styles.get(style)
        if connectors is None:
            raise ValueError(
                f"there is no style {style!r}, but {', '.join(sorted(self.connector_styles))}"
            )
        columns = shutil.get_terminal_size((132, 25)).columns if truncate else None
        for tree in self.children if skip_root else [self]:
            for line in tree._lines(connectors, level):
                if columns and len(line) > columns:
                    line = f"{line[: columns - 1]}+"
                sys.stdout.write(f"{line}\n")
