"""`BatchConfig`: what the brokers of a job are configured with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from flux.util._config_files import HANDLERS, load, loads_toml, xdg_searchpath
from flux.util._treedict import dict_merge, get_treedict, json_or_text, set_treedict

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BatchConfig", "as_config"]

_KINDS = (".toml", ".json")


class BatchConfig:
    """The option ``--conf`` of flux-batch(1) and flux-alloc(1), given once or several times.

    Example:
        >>> BatchConfig().update("resource.noverify=true").config
        {'resource': {'noverify': True}}

    Attributes:
        config: What it comes to; None before the first update.
    """

    def __init__(self) -> None:
        self.config: dict[str, Any] | None = None

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting.

        Args:
            key: Its dotted path.
            default: What to return where there is none.
        """
        return get_treedict(self.config or {}, key, default)

    def update(self, value: str) -> Self:
        """Take in more settings, which count where they were set before.

        Args:
            value: With a newline in it, TOML or JSON; ``KEY=VALUE``, a dotted path and JSON or
                text; the path of a file that ends in ``.toml`` or ``.json``; or the name of one
                in the directory ``flux/config`` of the user's or the system's configuration.

        Returns:
            This object.

        Raises:
            ValueError: There is no such file, or it cannot be read or parsed.
            TypeError: A path leads through what is no table.
        """
        if "\n" in value:
            return self.update_string(value)
        if "=" in value:
            return self.update_keyval(value)
        suffix = Path(value).suffix
        if suffix in _KINDS:
            return self.update_file(value, suffix)
        return self.update_named_config(value)

    def _merge(self, more: Mapping[str, Any]) -> Self:
        self.config = dict_merge(self.config or {}, more)
        return self

    def update_string(self, value: str) -> Self:
        """Take in TOML or JSON.

        Raises:
            ValueError: It is neither.
        """
        try:
            more = json.loads(value)
        except ValueError:
            try:
                more = loads_toml(value)
            except ValueError as exc:
                raise ValueError(
                    f"--conf: failed to parse multiline as TOML or JSON: {exc}"
                ) from None
        if not isinstance(more, dict):
            raise ValueError(f"--conf: a configuration is an object in JSON, not {more!r:.80}")
        return self._merge(more)

    def update_keyval(self, keyval: str) -> Self:
        """Take in one setting, ``KEY=VALUE``.

        Raises:
            TypeError: The path leads through what is no table.
        """
        key, _, text = keyval.partition("=")
        value = json_or_text(text)
        if self.config is None:
            self.config = {}
        try:
            set_treedict(self.config, key, value)
        except TypeError as exc:
            raise TypeError(f"--conf: failed to set {key} to {value!r}: {exc}") from None
        return self

    def update_file(self, path: Union[str, os.PathLike[str]], extension: str = ".toml") -> Self:  # noqa: UP007
        """Take in a file.

        Args:
            path: Where it is.
            extension: What it is: ``.toml`` or ``.json``.

        Raises:
            ValueError: It cannot be read or parsed, or the extension is another.
        """
        if extension not in _KINDS:
            raise ValueError(f"--conf: {path} must end in .toml or .json")
        try:
            return self._merge(load(path, HANDLERS[extension]))
        except OSError as exc:
            raise ValueError(f"--conf: {exc}") from None
        except ValueError as exc:
            raise ValueError(f"--conf: parse error: {exc}") from None

    def update_named_config(self, name: str) -> Self:
        """Take in a file from the directories for configuration.

        Args:
            name: Its name, without ``.toml`` or ``.json``.

        Raises:
            ValueError: There is none, or it cannot be read or parsed.
        """
        places = xdg_searchpath("config")
        for path in places:
            for kind in _KINDS:
                file = path / f"{name}{kind}"
                if file.exists():
                    return self.update_file(file, kind)
        raise ValueError(
            f"--conf: named config '{name}' not found in {', '.join(map(str, places))}"
        )


def as_config(conf: Any) -> dict[str, Any] | None:
    """Return what the argument ``conf`` of a function comes to.

    Args:
        conf: None, a dict, a `BatchConfig`, or text for `BatchConfig.update`.

    Raises:
        ValueError: As `BatchConfig.update`.
        TypeError: As `BatchConfig.update`.
    """
    if conf is None or isinstance(conf, dict):
        return conf
    if not isinstance(conf, BatchConfig):
        conf = BatchConfig().update(str(conf))
    config: dict[str, Any] | None = conf.config
    return config
