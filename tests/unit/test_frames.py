"""Tracebacks folded to one's own frames."""

import traceback

from api.dashboard.frames import folded

TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/.venv/lib/python3.11/site-packages/dramatiq/worker.py", line 485, in process_message
    res = actor(*message.args, **message.kwargs)
          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/home/ann/jobplatform/platform/jobplatform/attempt.py", line 40, in run
    return function(**arguments)
  File "/home/ann/jobplatform/actors/csv_export.py", line 12, in csv_export
    write(rows)
  File "/home/ann/jobplatform/actors/csv_export.py", line 20, in write
    json.loads(rows)
  [Previous line repeated 3 more times]
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
json.decoder.JSONDecodeError: Expecting value

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "<frozen importlib._bootstrap>", line 241, in _call
  File "C:\\work\\actors\\own.py", line 3, in own
Trouble: two
lines
"""


def test_own_frames_are_shown_and_foreign_ones_folded() -> None:
    parts = folded(TRACEBACK)

    assert [(len(part.frames), part.folded) for part in parts] == [
        (0, False),
        (2, True),
        (2, False),
        (1, True),
        (0, False),
        (1, True),
        (1, False),
        (0, False),
    ]
    assert [frame.name for frame in parts[2].frames] == ["csv_export", "write"]
    assert parts[2].lines[-1] == "  [Previous line repeated 3 more times]"
    assert parts[-1].text == "Trouble: two\nlines"


def test_nothing_is_lost_by_folding() -> None:
    assert "\n".join(part.text for part in folded(TRACEBACK)) == TRACEBACK.rstrip("\n")


def test_where_no_frame_is_ones_own_none_is_folded() -> None:
    foreign = TRACEBACK.replace("/home/ann/jobplatform/actors/", "/usr/lib/python3.11/").replace("C:\\work", "<a>")

    assert not any(part.folded for part in folded(foreign))


def test_what_is_no_traceback_is_shown_as_it_is() -> None:
    assert [part.text for part in folded("cut off in the middle\n    of it")] == ["cut off in the middle\n    of it"]


def test_a_real_traceback_is_understood() -> None:
    try:
        raise ValueError("here")
    except ValueError as error:
        text = "".join(traceback.format_exception(error))

    header, frames, message = folded(text)
    assert frames.frames[0].name == "test_a_real_traceback_is_understood"
    assert (header.text, message.text) == ("Traceback (most recent call last):", "ValueError: here")
