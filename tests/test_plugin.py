"""The pytest plugin, as a tenant's project sees it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest

from voice_server.runtime.journal import Header, Journal, JournalWriter

RECORDINGS = Path(__file__).parent / "recordings"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A tenant's tests, with a recording beside them."""
    pytester.makeini("[pytest]\n")  # nobody else's settings, whatever lies above
    folder = pytester.mkdir("tests")
    (folder / "recordings").mkdir()
    shutil.copy(RECORDINGS / "wrong_number.journal", folder / "recordings" / "call.journal")
    return pytester


def run(project: pytest.Pytester, body: str) -> pytest.RunResult:
    (project.path / "tests" / "test_calls.py").write_text(body)
    others = ("cacheprovider", "asyncio", "hypothesispytest", "unraisableexception")
    return project.runpytest(*(word for name in others for word in ("-p", f"no:{name}")))


def test_a_tenants_test_reads_like_a_sentence(project):
    result = run(
        project,
        """
def test_a_wrong_number_is_let_go(replay):
    call = replay("recordings/call.journal")
    assert call.outcome == "answered"
    assert "wrong number" in call.said("caller")
""",
    )
    result.assert_outcomes(passed=1)


def test_journals_are_found_from_the_test_from_the_root_and_anywhere(project):
    shutil.copy(RECORDINGS / "silence.journal", project.path / "at_root.journal")
    result = run(
        project,
        f"""
def test_places(replay):
    assert replay("at_root.journal").outcome == "silent"
    assert replay({str(RECORDINGS / "silence.journal")!r}).outcome == "silent"
    assert replay("tests/recordings/call.journal").outcome == "answered"
""",
    )
    result.assert_outcomes(passed=1)


def test_a_missing_journal_is_named_with_the_places_looked_at(project):
    result = run(project, "def test_it(replay):\n    replay('gone.journal')\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*no journal gone.journal; looked in {project.path}*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_file_that_is_no_journal_is_named(project):
    (project.path / "tests" / "bad.journal").write_text("hello")
    result = run(
        project,
        """
def test_one(replay):
    replay("bad.journal")

def test_two(simulate):
    simulate("bad.journal")
""",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*bad.journal: not a journal*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def altered(project: pytest.Pytester) -> None:
    """A recording of a call that began with other words than its core would say."""
    original = Journal(RECORDINGS / "wrong_number.journal")
    policy = msgspec.structs.replace(original.header.policy, greeting="Ahoy.")
    header = Header(original.header.facts, policy, media=False)
    writer = JournalWriter(project.path / "tests" / "recordings" / "other.journal", header)
    from voice_server.call import Call

    call, now = Call(original.header.policy), 0
    for entry in original:
        now += entry.after_ms
        writer.append(now, entry.event, call.handle(entry.event, now))
    writer.close()


def test_a_difference_fails_the_test_and_shows_itself(project):
    altered(project)
    result = run(project, "def test_it(replay):\n    replay('recordings/other.journal')\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*other.journal no longer replays to the call that was recorded.",
            "*First difference at event 1 (MediaStarted), 0.00 s into the call:",
            "*recorded: *Say(1, 'Hello, this is Robin*",
            "*replayed: *Say(1, 'Ahoy.')*",
            "*exact=False*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_difference_may_be_expected(project):
    altered(project)
    result = run(
        project,
        """
from voice_server.call import Policy

def test_it(replay):
    call = replay("recordings/other.journal", exact=False)
    assert call.difference.event == "MediaStarted"
    call = replay("recordings/call.journal", policy=Policy(greeting=""))
    assert call.difference is not None
""",
    )
    result.assert_outcomes(passed=1)


def test_a_caller_can_be_simulated_with_another_policy(project):
    result = run(
        project,
        """
def test_it(simulate):
    call = simulate("recordings/call.journal", greeting="Good morning.")
    assert call.said("agent").startswith("Good morning.")

def test_unknown(simulate):
    simulate("recordings/call.journal", politeness=11)
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the policy has no field politeness*"])


def test_the_plugin_is_registered_for_every_project():
    [plugin] = [point for point in entry_points(group="pytest11") if point.name == "voice_server"]
    assert plugin.value == "voice_server.testing.plugin"


def test_loading_the_plugin_loads_nothing_heavy():
    heavy = ("numpy", "onnxruntime", "asyncpg", "httpx", "starlette", "pydantic", "msgspec")
    script = (
        "import sys, voice_server.testing.plugin\n"
        f"sys.exit(', '.join(name for name in {heavy!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_everything_the_package_offers_can_be_had():
    import voice_server.testing as package

    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        package.Nonsense  # noqa: B018
