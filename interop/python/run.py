"""Runs the Python clients against a server: `run.py [PARAMETERS.json]`, else standard input.

One line per check, `ok NAME` or `FAIL NAME: WHY`; exit code 1 when one failed.
"""

import sys

import checks_authlib  # noqa: F401
import checks_relying_service  # noqa: F401
import checks_requests_oauth2client  # noqa: F401
import checks_tokens  # noqa: F401
from harness import World, main

if __name__ == "__main__":
    sys.exit(main(World))
