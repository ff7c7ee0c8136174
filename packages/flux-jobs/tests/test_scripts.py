"""What is read from scripts and command lines: directives, shapes, options."""

from __future__ import annotations

import argparse
import json

import pytest

from flux.cli.argparse import FluxArgumentParser
from flux.job import JobspecV1, validate_jobspec
from flux.job.directives import DirectiveParser
from flux.shape.parser import ShapeParser, ShapeSyntaxError


def directives(*lines):
    """Return the words of the directives in a script."""
    return [each.args for each in DirectiveParser([f"{line}\n" for line in lines]).directives]


def test_directives_are_read_as_a_shell_would():
    assert directives(
        "#!/bin/sh",
        "# flux: -N2 --env='A B' # two nodes",
        "# a comment",
        "",
        "# flux: --setattr=user.s='''it's'''",
        "# flux:",
        "hostname",
    ) == [["-N2", "--env=A B"], ["--setattr=user.s=it's"]]


def test_a_directive_over_several_lines_keeps_its_indentation():
    assert directives(
        '# flux: --conf="""', "# flux: [a]", "# flux:   b = 'c'", '# flux: """', "# flux: -N1"
    ) == [["--conf=[a]\n  b = 'c'\n"], ["-N1"]]


def test_a_script_without_directives():
    parser = DirectiveParser(["#!/bin/sh\n", "true\n"])
    assert (parser.directives, parser.sentinel, parser.script) == ([], None, "#!/bin/sh\ntrue\n")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["#flux: -N1", "true", "#flux: -n1"], "line 3: orphan 'flux:' detected"),
        (["#flux: -N1", "# flux: -n1"], "line 2: sentinel changed from '#flux:' to '# flux:'"),
        (["#flux: hostname"], "line 1: Unknown directive"),
        (["#flux: --x='a"], "line 1: .*No closing quotation"),
        (["#flux: --x='''a"], "line 1: unclosed triple quote"),
        (["#flux: --x='''", "true"], "line 2: unterminated multi-line quote at line 1"),
        (["#flux: --x='''", "#flux: a"], "line 2: unterminated multi-line quote at line 1"),
    ],
)
def test_malformed_directives_are_named_by_line(lines, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        directives(*lines)


def test_a_shape_is_resources():
    shape = "node/[slot=10{db}/[core;memory=4{unit:GB}];slot=2+{w,-x,n:1.5,a:[1]}/gpu=1-4:2:*]"
    (node,) = ShapeParser().parse(shape)
    first, second = node["with"]
    assert first == {
        "type": "slot",
        "count": 10,
        "label": "db",
        "with": [{"type": "core", "count": 1}, {"type": "memory", "count": 4, "unit": "GB"}],
    }
    assert (second["count"], second["exclusive"], second["n"], second["a"]) == (
        "2+",
        False,
        1.5,
        [1],
    )
    assert second["with"] == [{"type": "gpu", "count": "1-4:2:*"}]


def test_ranges_of_a_shape_as_dicts():
    parser = ShapeParser()
    parser.range_as_dict = True
    parser.default_slot_label = "x"
    (slot,) = parser.parse("SLOT=[2-8:2:^] / core = 3+")
    assert (slot["type"], slot["label"]) == ("slot", "x")
    assert slot["count"] == {"min": 2, "max": 8, "operand": 2, "operator": "^"}
    assert slot["with"][0]["count"] == {"min": 3}


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ("slot=2{a", "Unclosed brace at position 6"),
        ("[slot/core", "Unclosed bracket at position 0"),
        ("slot/", "A type of resource is missing at position 5"),
        ("slot=2", "A slot has resources in it"),
        ("core=0", "A count must be a positive integer"),
        ("core{'a:1}", "Unclosed quote at position 5"),
        ("core]", "Unexpected text at position 4"),
        ("[slot/core;slot/gpu]", "Multiple slots require labels"),
    ],
)
def test_malformed_shapes_are_named_by_position(shape, text):
    with pytest.raises(ShapeSyntaxError, match=text):
        ShapeParser().parse(shape)


def test_a_shape_takes_the_place_of_other_resources(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUX_CLI_PLUGINPATH_OVERRIDE", "")
    jobspec = JobspecV1.from_submit(["true"], resources_shape="slot=3/core=2")
    assert jobspec.resource_counts() == {"slot": 3, "core": 6}
    assert validate_jobspec(jobspec)[0]
    path = tmp_path / "resources.json"
    path.write_text(json.dumps({"resources": jobspec.resources}))
    assert JobspecV1.from_submit(["true"], resources_json=str(path)).resources == jobspec.resources
    with pytest.raises(ValueError, match="mutually exclusive"):
        JobspecV1.from_submit(["true"], resources_json=str(path), resources_shape="slot/core")


def test_options_end_where_the_command_begins():
    parser = FluxArgumentParser(prog="run", posix=True)
    parser.add_argument("-n", "--ntasks", type=int)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args(["-v", "-n", "4", "sleep", "-n", "1"])
    assert (args.v, args.ntasks, args.command) == (True, 4, ["sleep", "-n", "1"])
    assert parser.parse_args(["-n4", "--", "-x"]).command == ["--", "-x"]
    with pytest.raises(SystemExit):
        parser.parse_args(["--ntask=4"])


def test_hidden_names_of_options():
    parser = FluxArgumentParser(prog="list")
    parser.add_argument("--states", hidden_aliases=["--state"], help="in these")
    assert parser.parse_args(["--state=up"]).states == "up"
    assert "--state=" not in parser.format_help()
    with pytest.raises(TypeError, match="hidden_aliases is a tuple or list"):
        parser.add_argument("--x", hidden_aliases="--y")
