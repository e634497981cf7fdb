"""Runs the Python clients against a server: `run.py [PARAMETERS.json]`, else standard input.

One line per check, `ok NAME` or `FAIL NAME: WHY`; exit code 1 when one failed.
"""

import sys

import checks_authlib  # noqa: F401
import checks_relying_service  # noqa: F401
import checks_requests_oauth2client  # noqa: F401
import checks_tokens  # noqa: F401
from harness import CHECKS, World


def main():
    text = open(sys.argv[1]).read() if len(sys.argv) > 1 else sys.stdin.read()
    world = World.read(text)
    failed = 0
    for check in CHECKS:
        try:
            check(world)
        except Exception as error:  # noqa: BLE001 - whatever it is, the check failed
            failed += 1
            why = " ".join(str(error).split())
            print(f"FAIL {check.__name__}: {type(error).__name__}: {why}", flush=True)
        else:
            print(f"ok {check.__name__}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
