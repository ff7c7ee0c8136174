"""Durations, dates, tables, trees, options and configuration of command-line tools."""

from __future__ import annotations

import argparse
import math
import time
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from flux import util


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("250ms", 0.25), ("infinity", math.inf)],
)
def test_durations_are_read(text, seconds):
    assert util.parse_fsd(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1s", "1 week", "nan", "1e400", "1ss"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="invalid Flux standard duration"):
        util.parse_fsd(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0001, "0s"), (1.5, "1.500s"), (59, "59s"), (90, "1.5m"), (7200, "2h"), (86400, "1d")],
)
def test_durations_are_written(seconds, text):
    assert util.fsd(seconds) == text


def test_points_in_time():
    now = datetime(2021, 6, 10, 8, 0, 0)
    assert util.parse_datetime("now", now) is now
    assert util.parse_datetime("-1.5h", now).timestamp() == now.timestamp() - 5400
    assert util.parse_datetime("noon tomorrow", now) == datetime(2021, 6, 11, 12).astimezone()
    for text in ("blursday", "+x", "+1e300"):
        with pytest.raises(ValueError, match=r"[Ii]nvalid"):
            util.parse_datetime(text, now)


@pytest.fixture
def utc(monkeypatch):
    """Have this process be in Greenwich."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("fmt", "value", "text"),
    [
        ("{0!d:%b%d %R::>13}", 978336000.0, "  Jan01 08:00"),
        ("{0!d:%R::>6h}", "", "     -"),
        ("{0!D}", 978336000.0, "2001-01-01T08:00:00"),
        ("{0!D:h}", 0, "-"),
        ("{0!F:>6}", 90, "  1.5m"),
        ("{0!H}", 0.2, "0:00:01"),
        ("{0!P}", 0.333, "33.3%"),
        ("{0!P}", 0.001, "0.10%"),
        ("{0!F}", "", ""),
        ("{0:<4.4+}", "abcdef", "abc+"),
        ("{0:>3h}", "", "  -"),
    ],
)
def test_conversions_and_formats(utc, fmt, value, text):
    assert util.UtilFormatter().format(fmt, value) == text


def test_a_conversion_of_what_is_no_number_is_an_error():
    with pytest.raises(TypeError):
        util.UtilFormatter().format("{0!F}", "x")


class Table(util.OutputFormat):
    """A table of items."""

    headings = {"name": "NAME", "size": "SIZE", "part.of": "PART"}  # noqa: RUF012


def item(name, size, part=""):
    return SimpleNamespace(name=name, size=size, part=SimpleNamespace(of=part))


def test_columns_are_dropped_and_widened(capsys):
    items = [item("a" * 9, 10), item("b", 9)]
    table = Table("sort:size {{x}} +:{name:<4.4} ?:{part.of:>8} ?+:{size:>2}")
    assert table.filter(items) == "sort:size {{x}} {name:<9.9} {size:>4}"
    table.print_items(items)
    assert capsys.readouterr().out == "{x} NAME      SIZE\n{x} b            9\n{x} aaaaaaaaa   10\n"
    table.print_items(items, no_header=True, width=6)
    assert capsys.readouterr().out == "{x} b+\n{x} a+\n"


def test_fields_and_keys_that_there_are_not():
    with pytest.raises(ValueError, match="Unknown format field: nope"):
        Table("{nope}")
    with pytest.raises(ValueError, match="Invalid sort key: nope"):
        Table("sort:nope {name}")


def test_a_table_is_copied_without_columns():
    table = Table("sort:-name {name:>5} +:{size:>7}")
    assert set(table.fields) == {"name", "size"}
    assert table.get_format(orig=True) == "sort:-name {name:>5} +:{size:>7}"
    copy = table.copy(except_fields=["name"], nullify_expansion=True)
    assert copy.get_format() == "sort:-name {0.size}"


def test_rows_that_look_the_same_are_one():
    rows = util.Deduplicator(
        Table("{name} {size}"),
        except_fields=["size"],
        combine=lambda first, other: setattr(first, "size", first.size + other.size),
    )
    for row in (item("a", 1), item("b", 2), item("a", 3)):
        rows.append(row)
    assert [(row.name, row.size) for row in rows] == [("a", 4), ("b", 2)]


def test_rows_are_sorted_by_what_they_show():
    values = ["b", 3, "", "10", None, -1, "-", True]
    ordered = sorted(values, key=util.DisplayValue)
    assert ordered == ["", None, "-", -1, True, 3, "10", "b"]


def test_trees(capsys):
    root = util.Tree("root", combine_children=True)
    child = root.append("child", prefix="x")
    child.append("leaf")
    root.append("twin")
    root.append("twin")
    root.render(style="ascii")
    assert capsys.readouterr().out == ("root\nx |-- child\n|   `-- leaf\n`-- 2*[twin]\n")
    root.render(level=0)
    assert capsys.readouterr().out == "root\n"
    with pytest.raises(ValueError, match="there is no style 'x', but ascii, box, compact"):
        root.render(style="x")


def test_options():
    parser = argparse.ArgumentParser(formatter_class=util.help_formatter())
    parser.set_defaults(filtered=False)
    parser.add_argument("--set", nargs="+", action=util.TreedictAction)
    parser.add_argument("-f", "--filter", action=util.FilterActionSetUpdate, default=set())
    parser.add_argument("-A", action=util.FilterTrueAction)
    parser.add_argument("-u", "--user", action=util.FilterActionUser)
    parser.add_argument("--recursive", action=util.YesNoAction)
    parser.add_argument("--color", action=util.ColorAction)
    args = parser.parse_args(["--set", "a.b=1", "a.c=x", "-f", "r,s", "-A", "--recursive", "no"])
    assert args.set == {"a": {"b": 1, "c": "x"}}
    assert (args.filter, args.A, args.filtered, args.recursive) == ({"r", "s"}, True, True, False)
    assert parser.parse_args(["-u", "me"]).filtereduser is True
    assert parser.parse_args(["--color"]).color.enabled
    assert not parser.parse_args(["--color=never"]).color.enabled
    assert "-u, --user=USER" in parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["--color=sometimes"])


def test_a_program_ends_with_its_error(caplog):
    def main():
        raise FileNotFoundError(2, "No such file", "x")

    with pytest.raises(SystemExit) as caught:
        util.CLIMain()(main)
    assert caught.value.code == 1
    assert "No such file: 'x'" in caplog.text
    with pytest.raises(SystemExit) as caught:
        util.CLIMain()(lambda: None)
    assert caught.value.code == 0


def test_configuration_and_named_formats(tmp_path, monkeypatch, capsys):
    class Config(util.UtilConfig):
        builtin_formats = {"default": {"format": "{name}"}}  # noqa: RUF012

        def validate(self, path, conf):
            self.validate_formats(path, conf["formats"])

    for number, home in enumerate(("system", "user")):
        (tmp_path / home / "flux").mkdir(parents=True)
        text = f'[formats.mine]\ndescription = "d"\nformat = "{{x{number}}}"\n'
        (tmp_path / home / "flux" / "tool.toml").write_text(text)
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "system"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    config = Config("tool", initial_dict={"formats": dict(Config.builtin_formats)}).load()
    assert config.get_format_string("mine") == "{x1}"
    assert config.get_format_string("{a} {b}") == "{a} {b}"
    assert config.get_format_string("default") == "{name}"
    monkeypatch.setenv("TOOL_FORMAT_DEFAULT", "mine")
    assert config.get_format_string("default") == "{x1}"
    with pytest.raises(ValueError, match=r"No such format name \(Did you mean '{name}'\?\)"):
        config.get_format_string("name")
    with pytest.raises(SystemExit):
        config.get_format_string("get-config=mine")
    assert capsys.readouterr().out == '[formats.mine]\ndescription = "d"\nformat = "{x1}"\n'
    assert not hasattr(config, "nothing")
    (tmp_path / "user" / "flux" / "tool.json").write_text('{"formats": {"default": {}}}')
    with pytest.raises(ValueError, match=r"tool.json: override of builtin format 'default'"):
        Config("tool").load()
    (tmp_path / "user" / "flux" / "tool.json").write_text("{")
    with pytest.raises(ValueError, match=r"tool.json: "):
        Config("tool").load()


def test_paths_in_nested_dicts():
    tree: dict[str, Any] = {}
    util.set_treedict(tree, "a.b.c", 1)
    assert util.get_treedict(tree, "a.b") == {"c": 1}
    assert util.get_treedict(tree, "a.x.y", 5) == 5
    with pytest.raises(TypeError, match=r"a\.b\.c is 1, not a mapping"):
        util.set_treedict(tree, "a.b.c.d", 2)
    util.set_treedict(tree, "a.d", 2)
    util.del_treedict(tree, "a.b.c", remove_empty=True)
    assert tree == {"a": {"d": 2}}
    with pytest.raises(KeyError):
        util.del_treedict(tree, "a.x")
    assert util.dict_merge(tree, {"a": {"d": 3}, "e": 4}) == {"a": {"d": 3}, "e": 4}


def test_every_name_is_there():
    for name in util.__all__:
        assert getattr(util, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        util.nonsense  # noqa: B018
