"""What stops a render: a check that fails in any way, and a cell that would take all there is."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from website import Project, cell, until

THREAD = "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()"
SHOWN = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%run check.py", "index.qmd:5: cell 1 raised AssertionError: wrong"),
        (SHOWN, "index.qmd:9: cell 1 raised ZeroDivisionError: division by zero"),
        (THREAD, "index.qmd:5: cell 1: a thread of it raised ZeroDivisionError: division by zero"),
        ("!false", "index.qmd:6: cell 1 raised CalledProcessError: Command 'false' returned non-zero exit status 1."),
        ("%%bash\nfalse", "index.qmd:6: cell 1 raised CalledProcessError: "),
    ],
)
def test_a_check_that_fails_in_any_way_stops_the_render(project: Project, code: str, words: str) -> None:
    project.write("check.py", "assert False, 'wrong'\n")
    project.page("index", cell(code))
    ran = project.render()
    assert ran.status == 1
    assert ran.err.startswith(words)


def test_what_a_cell_may_fail_with_is_shown(project: Project) -> None:
    project.page("index", cell(SHOWN, "error: true") + cell(THREAD, "error: true"))
    assert project.render().err == ""
    assert "ZeroDivisionError" in project.html("index")


def test_cells_assert_where_python_is_told_to_optimize(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    project.page("index", cell("assert False, 'wrong'"))
    assert "cell 1 raised AssertionError: wrong" in project.render().err


def test_nothing_that_cells_do_keeps_what_they_read_from_being_noted(project: Project) -> None:
    chatter = "def chat(say=print):\n    while True:\n        say('.', flush=True)\n        time.sleep(0.01)"
    names = "list = sorted = print = open = [1, 2]\nimport sys\nsys.modules['json'] = sys.modules['os'] = None"
    start = f"import threading, time\n{chatter}\nthreading.Thread(target=chat, daemon=True).start()"
    project.write("data.txt", "old")
    project.page("index", cell("print(open('data.txt').read())") + cell(start, "output: false") + cell(names))
    assert project.render().err == ""
    project.write("data.txt", "new")
    os.utime(project.root / "data.txt", (0, 0))
    assert "ran 3 cells" in project.render().out
    assert "new" in project.html("index")


@pytest.mark.parametrize(
    ("limit", "code", "words"),
    [
        (("--seconds", "1"), "import time\ntime.sleep(999)", ": it took longer than 1 seconds; --seconds allows more"),
        (("--output", "1"), "print('x' * 2**21)\n1", ": the page shows more than 1 megabytes; --output allows more"),
        (("--output", "1"), "while True:\n    print('x' * 99)", ": the page shows more than 1 megabytes"),
        (("--memory", "800"), "x = bytearray(10**9)", " raised MemoryError"),
    ],
)
def test_a_cell_that_takes_too_much_is_stopped(project: Project, limit: tuple[str, str], code: str, words: str) -> None:
    project.page("index", cell(code))
    process = project.start("render", *limit, str(project.root))
    _, said = process.communicate(timeout=100)
    assert (process.returncode, said.count("\n")) == (1, 1)
    assert re.fullmatch(rf"index.qmd:\d: cell 1{words}.*", said.strip())


SLEEPERS = """\
import subprocess
subprocess.Popen(["sleep", "{time}"])
subprocess.Popen(["sleep", "{time}"], start_new_session=True)
open("started", "w")
{then}"""


def sleepers(seconds: str) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"], ad_value=[])
    return [each for each in found if each.info["cmdline"] == ["sleep", seconds]]


@pytest.mark.parametrize(
    ("name", "then", "ended"),
    [("well", "", 0), ("raises", "1 / 0", 0), ("killed", "import time; time.sleep(60)", signal.SIGKILL)],
)
def test_no_process_of_a_cell_outlives_the_render(tmp_path: Path, name: str, then: str, ended: int) -> None:
    seconds = f"{9000 + os.getpid() % 900}.{len(name)}"
    project = Project(tmp_path / name, index=cell(SLEEPERS.format(time=seconds, then=then)))
    process = project.start()
    until((project.root / "started").exists)
    assert ended == 0 or len(sleepers(seconds)) == 2
    if ended:
        process.send_signal(ended)
    process.communicate(timeout=100)
    until(lambda: not sleepers(seconds))


def test_a_site_that_was_exchanged_is_not_said_to_be_as_it_was(project: Project) -> None:
    project.page("index", "new words")
    command = [sys.executable, "-m", "qmdsite", "render", str(project.root)]
    read, write = os.pipe()
    # The page's line is read, and then nobody reads.
    process = subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    until((project.root / "_site" / "index.html").exists)
    os.close(read)
    _, said = process.communicate(timeout=100)
    assert (process.returncode, said) == (0, "")
