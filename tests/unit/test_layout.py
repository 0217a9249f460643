"""The folders keep out of the standard library's way."""

import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_top_level_file_or_folder_shadows_a_standard_module() -> None:
    shadows = [
        name
        for name in sorted(sys.stdlib_module_names)
        if (spec := PathFinder.find_spec(name, [str(ROOT)])) is not None and spec.loader is not None
    ]

    assert shadows == []


def test_platform_is_a_plain_folder_and_no_package() -> None:
    assert (ROOT / "platform" / "jobplatform" / "__init__.py").is_file()
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_the_standard_platform_module_is_found_from_the_checkout() -> None:
    asked = "import platform, uuid; print(platform.system())"

    answer = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)

    assert answer.stdout.strip() != ""
