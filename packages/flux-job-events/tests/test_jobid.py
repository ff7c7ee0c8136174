"""Job ids in all their encodings, as `flux job id` and the official bindings have them."""

from __future__ import annotations

import copy
import errno
import json
import locale
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux.job import JobID, id_encode, id_parse

GOLDEN = json.loads((Path(__file__).parent / "data" / "golden-jobs.json").read_text("utf-8"))
ENCODINGS = ["dec", "hex", "dothex", "kvs", "f58", "f58plain", "words", "emoji"]
IDS = st.integers(0, (1 << 64) - 1)


@pytest.fixture(autouse=True)
def _utf8(monkeypatch):
    monkeypatch.delenv("FLUX_F58_FORCE_ASCII", raising=False)
    monkeypatch.setattr(locale, "nl_langinfo", lambda item: "UTF-8")


@pytest.mark.parametrize("vector", GOLDEN["fluid"]["vectors"], ids=lambda vector: vector["hex"])
def test_every_encoding_of_an_id_is_formatted_and_parsed(vector):
    jobid = JobID(vector["dec"])
    for encoding in ENCODINGS:
        text = str(vector[encoding])
        assert jobid.encode(encoding) == id_encode(vector["dec"], encoding.upper()) == text
        assert getattr(jobid, encoding) == text
        parsed = JobID(text)
        assert parsed == vector["dec"]
        assert parsed.orig == text
        assert JobID(f" {text}\n") == id_parse(text) == vector["dec"]


@pytest.mark.parametrize("vector", GOLDEN["fluid_parse"]["vectors"], ids=lambda v: repr(v["in"]))
def test_strings_are_parsed_or_refused_as_by_the_flux_command(vector):
    if vector["ok"]:
        assert JobID(vector["in"]) == vector["dec"]
    else:
        with pytest.raises(ValueError, match="is not a valid Flux jobid"):
            JobID(vector["in"])


@pytest.mark.parametrize("vector", GOLDEN["python_JobID"]["vectors"], ids=lambda v: str(v["in"]))
def test_a_jobid_has_the_attributes_of_the_official_bindings(vector):
    jobid = JobID(vector["in"])
    assert (int(jobid), str(jobid), repr(jobid)) == (vector["int"], vector["str"], vector["repr"])
    for name in [*ENCODINGS, "orig"]:
        assert getattr(jobid, name) == vector[name]


def test_the_error_of_the_official_bindings():
    with pytest.raises(ValueError, match=GOLDEN["python_JobID"]["error"]["str"]):
        JobID("xyz")


def test_f58_has_an_ascii_prefix_where_the_locale_or_the_user_wants_it(monkeypatch):
    for section in ("f58_in_C_locale", "f58_with_FLUX_F58_FORCE_ASCII"):
        with monkeypatch.context() as patch:
            if section == "f58_in_C_locale":
                patch.setattr(locale, "nl_langinfo", lambda item: "ANSI_X3.4-1968")
            else:
                patch.setenv("FLUX_F58_FORCE_ASCII", "1")
            jobid = JobID(GOLDEN["fluid"][section]["dec"])
            assert jobid.f58 == str(jobid) == GOLDEN["fluid"][section]["f58"]
            assert JobID("ƒGeKRU3") == jobid


@given(IDS)
def test_every_id_survives_every_encoding(value):
    for encoding in ENCODINGS:
        assert id_parse(id_encode(value, encoding)) == value


@given(st.text(max_size=20) | st.from_regex(r"\s*(ƒ|f|0x|job\.)?[0-9a-zA-Z.-]{0,24}"))
def test_any_text_is_an_id_or_a_value_error(text):
    try:
        assert 0 <= JobID(text) < 1 << 64
    except ValueError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        "   ",
        "job.",
        "0x",
        "0x1g",
        "1_000",
        "١",  # noqa: RUF001
        "0.0.0.0x1",
        "1.2.3.",
        "foo-bar-baz--qux-quux-corge",
        "academy-academy-academy",
        "academy-academy-academy--academy-academy-academy-academy",
        "amen-amen-amen--amen-amen-amen",
        "🦄",
        "😃😃😃😃😃😃😃😃",
        "😃x",
        "ƒ0",
    ],
)
def test_what_only_looks_like_an_id_is_refused(text):
    with pytest.raises(ValueError, match="not a valid"):
        JobID(text)
    with pytest.raises(OSError, match="job id") as caught:
        id_parse(text)
    assert caught.value.errno == errno.EINVAL


def test_words_may_be_written_otherwise():
    text = "Reform remote, galileo -- HEART package academy"
    assert JobID(text) == JobID("reform-remote-galileo--heart-package-academy")


def test_a_jobid_is_an_int():
    jobid = JobID(1234)
    assert isinstance(jobid, int)
    assert jobid + 1 == 1235
    assert hash(jobid) == hash(1234)
    assert json.dumps({"id": jobid}) == '{"id": 1234}'
    assert f"{jobid:d}" == "1234"


def test_a_jobid_of_a_jobid_remembers_the_original():
    assert JobID(JobID("0x10")).orig == "0x10"
    assert JobID(JobID(16)).orig == "16"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_jobid_is_picklable(protocol):
    jobid = JobID("ƒuZZybuNNy")
    for other in (pickle.loads(pickle.dumps(jobid, protocol)), copy.deepcopy(jobid)):
        assert type(other) is JobID
        assert (other, other.orig) == (jobid, "ƒuZZybuNNy")


@pytest.mark.parametrize("value", [-1, -(1 << 63), 1 << 64, 10**400, True, False])
def test_a_number_beyond_64_bits_is_no_job_id(value):
    with pytest.raises(
        ValueError, match=r"is not a job id: that is a number from 0 to 2\*\*64 - 1"
    ):
        JobID(value)


def test_any_number_of_64_bits_is_a_job_id():
    assert JobID((1 << 64) - 1).hex == "0xffffffffffffffff"
    assert JobID(0) == 0


def test_a_negative_id_stands_for_the_same_bits_where_it_is_encoded():
    assert id_encode(-1, "hex") == "0xffffffffffffffff"


def test_what_is_no_id_at_all():
    for value in (None, 1.5, b"1", ["1"]):
        with pytest.raises(TypeError, match="a job id is an int or a str"):
            JobID(value)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="64 bits") as caught:
        id_encode(1 << 64, "f58")
    assert caught.value.errno == errno.EOVERFLOW
    with pytest.raises(OSError, match="'base64' is not an encoding") as caught:
        JobID(1).encode("base64")
    assert caught.value.errno == errno.EPROTO
    for text in (str(1 << 64), "9" * 5000):
        with pytest.raises(OSError, match="64 bits") as caught:
            id_parse(text)
        assert caught.value.errno == errno.ERANGE
