"""The digests of the store, whatever becomes of the Python that the guard was started with."""

import hashlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPECTED = hashlib.sha256(b"what was said").hexdigest()
LATER = """
    import sys

    class Gone:
        def find_spec(self, name, path=None, target=None):
            raise {error}

    {before}
    from hermesguard.digests import sha256
    assert ("hashlib" in sys.modules) == {is_loaded}
    sys.meta_path.insert(0, Gone())
    hashed = sha256(b"what was")
    hashed.update(b" said")
    print(hashed.hexdigest())
"""


def printed(**more: str) -> str:
    command = [sys.executable, "-S", "-c", textwrap.dedent(LATER).format(**more)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


@pytest.mark.parametrize("error", ["ModuleNotFoundError(name)", "OSError(5, 'Input/output error')"])
def test_a_guard_whose_python_was_replaced_goes_on(error: str) -> None:
    """It has loaded all that it needs for its work but OpenSSL, and ended when that could not be loaded any more."""
    assert printed(error=error, before="", is_loaded="False") == EXPECTED


def test_a_python_that_has_the_sha256_of_openssl_alone_will_do() -> None:
    before = "sys.modules['_sha2'] = sys.modules['_sha256'] = None"
    assert printed(error="ModuleNotFoundError(name)", before=before, is_loaded="True") == EXPECTED
