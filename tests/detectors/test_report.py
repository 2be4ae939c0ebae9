"""The report is one well-formed page that shows what was said, unchanged and harmless."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest

from detectors.assessment import Severity
from detectors.detector import ScamModel
from detectors.playback import Proof, Trace, play
from detectors.report import page
from detectors.report.charts import Axis, Curve, Strip, plot, spark, strips
from detectors.report.transcript import SHOWN_LIMIT, marked, verdict
from detectors.transcripts import Said, Talk
from tests.detectors.speech import BOOKING, ROBOCALL

VOID = {"meta", "input", "line", "circle", "polyline"}


class Outline(HTMLParser):
    """Collects text, marks and tags, and fails on tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def pair(
    model: ScamModel, name: str, lines: tuple[str, ...], label: str = ""
) -> tuple[Talk, Trace]:
    turns = tuple(
        Said(line.removeprefix("A: "), "agent" if line.startswith("A: ") else "caller")
        for line in lines
    )
    talk = Talk(name, turns, source="tests", label=label, cluster=name)
    return talk, play(model, talk)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Talk, Trace]]:
    model = ScamModel.load()
    return [
        *(pair(model, f"scam-{n}", ROBOCALL[: n + 1], "scam") for n in range(3)),
        *(pair(model, f"fine-{n}", BOOKING[: n + 1], "benign") for n in range(6)),
    ]


def test_a_report_is_well_formed_and_needs_no_other_file(pairs: list[tuple[Talk, Trace]]) -> None:
    html = page(pairs)
    found = outline(html)
    assert html.startswith("<!doctype html>")
    assert not re.search(r"https?://|@import|url\(", html)
    assert not {"link", "img", "iframe"} & {tag for tag, _ in found.tags}
    assert all("src" not in attributes for _, attributes in found.tags)


def test_labels_bring_figures_and_plots(pairs: list[tuple[Talk, Trace]]) -> None:
    text = outline(page(pairs)).text
    for title in (
        "ROC AUC",
        "Receiver operating characteristic",
        "Precision and recall",
        "Calibration",
        "Time to alarm",
        "By source",
        "tests · scam",
    ):
        assert title in text
    assert "nan" not in page(pairs)


def test_without_labels_there_are_no_figures_but_all_conversations(model: ScamModel) -> None:
    pairs = [pair(model, "one", ROBOCALL), pair(model, "two", BOOKING)]
    text = outline(page(pairs)).text
    assert "ROC AUC" not in text
    assert "one" in text
    assert ROBOCALL[0].split()[0] in text
    assert "alarm at" in text


@pytest.mark.parametrize("label", ["scam", "benign"])
def test_one_label_alone_makes_no_curve(model: ScamModel, label: str) -> None:
    text = outline(page([pair(model, "one", ROBOCALL, label)])).text
    assert "ROC AUC" not in text


def test_an_empty_report_is_a_page_too() -> None:
    assert "0" in outline(page([])).text


def test_what_callers_say_is_text_and_never_markup(model: ScamModel) -> None:
    bad = "<script>alert('gift cards')</script> & <b>your ssn is suspended</b>"
    talk = Talk("<i>id</i>", (Said(bad, '"><img>'),), source="<u>", label="scam")
    html = page([(talk, play(model, talk))])
    found = outline(html)
    assert bad in found.text
    assert "<i>id</i>" in found.text
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert not {"i", "u", "img"} & {tag for tag, _ in found.tags}


def proof(start: int, end: int, *, weight: float = 0.5, detector: str = "pattern") -> Proof:
    return Proof(1, "caller", detector, f"n{start}", weight, start, end, "")


def test_marked_text_is_the_text() -> None:
    text = 'say "yes" & <buy> gift cards now'
    proofs = [proof(0, 9), proof(4, 16, weight=0.9), proof(0, len(text), detector="classifier")]
    assert outline(marked(text, proofs)).text == text
    assert outline(marked(text, [])).tags == []


def test_a_mark_names_its_detectors_and_is_as_strong_as_the_strongest() -> None:
    tags = outline(marked("abcdef", [proof(0, 4), proof(2, 6, weight=0.9)])).tags
    assert [attributes["class"] for _, attributes in tags] == ["w2", "w3", "w3"]
    assert tags[1][1]["title"] == "pattern n0 0.50; pattern n2 0.90"


def test_a_whole_utterance_is_underlined_rather_than_filled() -> None:
    ((_, attributes),) = outline(marked("abc", [proof(0, 3, detector="behaviour")])).tags
    assert attributes["class"] == "broad"


@pytest.mark.parametrize(
    ("label", "alarm", "said"),
    [
        ("scam", 1, "caught"),
        ("scam", None, "missed"),
        ("benign", 1, "false alarm"),
        ("benign", None, "left in peace"),
        ("", 1, "alarm"),
        ("", None, "quiet"),
    ],
)
def test_a_verdict_says_what_the_alarm_was_worth(
    pairs: list[tuple[Talk, Trace]], label: str, alarm: int | None, said: str
) -> None:
    assert verdict(msgspec.structs.replace(pairs[0][1], label=label, alarm_turn=alarm)) == said


def test_mistaken_conversations_come_first(pairs: list[tuple[Talk, Trace]]) -> None:
    calm = next(trace for _, trace in pairs if trace.severity is Severity.MINIMAL)
    missed = (Talk("missed-one", ()), msgspec.structs.replace(calm, id="missed-one", label="scam"))
    text = outline(page([*pairs, missed])).text
    caught = [t.id for _, t in pairs if t.alarm_turn is not None]
    assert text.index("missed-one") < text.index(caught[0])


def test_a_huge_report_keeps_the_riskiest_and_says_how_many_are_left_out(
    pairs: list[tuple[Talk, Trace]],
) -> None:
    found = outline(page([*pairs, *[pairs[-1]] * SHOWN_LIMIT]))
    assert [tag for tag, _ in found.tags].count("details") == SHOWN_LIMIT
    assert f"{len(pairs)} calmer ones are left out" in found.text


def test_charts_are_well_formed_and_stay_inside_their_frame() -> None:
    curve = Curve("a < b & c", ((0.0, 0.0), (2.0, 5.0), (1.0, 1.0)), "a", dots=True)
    chart = plot("title", Axis("x <"), Axis("y"), [curve])
    root = ElementTree.fromstring(chart)
    width, height = (float(n) for n in root.attrib["viewBox"].split()[2:])
    for dot in root.iter("circle"):
        assert 0 <= float(dot.attrib["cx"]) <= width
        assert 0 <= float(dot.attrib["cy"]) <= height
    rows = [Strip("name", (0.0, 0.1, 0.2, 0.3, 1.0), "2 of 3")]
    assert ElementTree.fromstring(strips("rows", rows, mark=0.6)).tag == "svg"


@pytest.mark.parametrize("values", [[], [0.5], [0.0, 1.0], [0.2] * 500])
def test_a_spark_is_drawn_for_any_number_of_values(values: list[float]) -> None:
    assert ElementTree.fromstring(spark(values)).tag == "svg"
    assert ElementTree.fromstring(spark(values, mark=0.6)).tag == "svg"
