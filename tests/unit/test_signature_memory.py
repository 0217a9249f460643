"""A field that is one text with a pattern, or a list, does not cost the process its life."""

import subprocess
import sys

_SCRIPT = """
from typing import Annotated
from msgspec import Meta
from jobplatform.errors import InvalidPayload
from jobplatform.signature import Signature

Code = Annotated[str, Meta(pattern="^[a-z]+$")]

def take(codes: Code | list[Code], more: Code | dict[str, Code] | None = None) -> None: ...

refused = 0
for _ in range(10):
    signature = Signature("TAKE", take)
    signature.check('{"codes": ["a"], "more": "b"}')
    for _ in range(300):
        try:
            signature.check('{"codes": ["1"], "more": {"x": "2"}}')
        except InvalidPayload as error:
            refused += len(error.faults)
print(refused)
"""


def test_thousands_of_faulty_payloads_and_the_exit_leave_the_memory_whole() -> None:
    checked = [sys.executable, "-X", "dev", "-c", _SCRIPT]  # -X dev: the allocator finds what was written astray

    done = subprocess.run(checked, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "6000", "")
