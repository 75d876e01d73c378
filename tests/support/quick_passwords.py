"""``twistd`` that hashes passwords in no time: for tests of all else that there is to accounts."""

import sys

from argon2 import PasswordHasher

from chatservice.accounts import hashing as passwords

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
QUICKLY = (sys.executable, __file__)  # a server's runner (see `people.Server`)

if __name__ == "__main__":
    passwords.hasher = lambda: QUICK
    from twisted.scripts.twistd import run

    sys.argv[0] = "twistd"
    run()
