"""What pip's failures mean, in the words of pip 22.3 to 26.3."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "requirements/install.py"
why = runpy.run_path(str(SCRIPT))["why"]

NONE = (
    "ERROR: Could not find a version that satisfies the requirement alpha==1.0"
    " (from versions: {})\n"
    "ERROR: No matching distribution found for alpha==1.0\n"
)
RETRY = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after"
    " connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection"
    " object at 0x7f0>: Failed to establish a new connection: {}')': /simple/alpha/\n"
)
TRACEBACK = "ERROR: Exception:\nTraceback (most recent call last):\n  raise ProtocolError(x)\n{}\n"
OTHER_HASH = (
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated"
    " the package versions, please update the hashes.\n"
    "    alpha==1.0 from http://index/alpha-1.0.whl (from -r lock.txt (line 1)):\n"
    "        Expected sha256 00\n             Got        f7\n"
)
OS_ERROR = "ERROR: Could not install packages due to an OSError: {}\n"


@pytest.mark.parametrize(
    ("output", "cause", "again"),
    [
        (NONE.format("0.5, 0.6"), "the package index has no alpha==1.0 for this Python", False),
        (NONE.format("none"), "the package index did not answer with alpha==1.0", True),
        (
            RETRY.format("[Errno 111] Connection refused") + NONE.format("none"),
            "the package index is out of reach: Connection refused",
            True,
        ),
        (
            RETRY.format("[Errno -2] Name or service not known") + NONE.format("none"),
            "the package index is out of reach: Name or service not known",
            True,
        ),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError("
            "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify"
            " failed: self-signed certificate')': /simple/alpha/\n" + NONE.format("none"),
            "the certificate of the package index is not trusted",
            False,
        ),
        (OTHER_HASH, "the download of alpha==1.0 was cut short, or is not the locked file", True),
        (
            TRACEBACK.format(
                "ProtocolError: (\"Connection broken: ConnectionResetError(104, '')\")"
            ),
            "a download was cut short",
            True,
        ),
        (
            TRACEBACK.format("ReadTimeoutError: HTTPConnectionPool(host='h'): Read timed out."),
            "the package index stopped answering",
            True,
        ),
        (
            "  ERROR: HTTP error 502 while getting http://h/a.whl\n",
            "the package index answered 502",
            True,
        ),
        (
            OS_ERROR.format(
                "HTTPConnectionPool(host='h'): (Caused by 'too many 502 error responses')"
            ),
            "the package index answered 502",
            True,
        ),
        (OS_ERROR.format("[Errno 28] No space left on device"), "the disk is full", False),
        (
            OS_ERROR.format("[Errno 13] Permission denied: '/x'"),
            "[Errno 13] Permission denied",
            False,
        ),
        ("ERROR: something new\nwith more lines\n", "something new", False),
        ("", "nothing was said", False),
    ],
)
def test_a_failure_is_worded_in_a_line_and_tried_again_where_that_may_help(
    *, output: str, cause: str, again: bool
) -> None:
    worded, tried = why(output)
    assert worded.startswith(cause)
    assert "\n" not in worded
    assert tried is again
