"""Plays behaviours of a filesystem and prints one JSON line for each.

  python3 driver --prepare DIR    makes what the lower layer must hold, for all behaviours that want it
  python3 driver ROOT             plays them on a mounted tree whose lower layer was so prepared
  python3 driver --list           ids and texts alone
"""
import json
import os
import signal
import sys

import attributes  # noqa: F401  each registers its behaviours
import copying  # noqa: F401
import directories  # noqa: F401
import extended  # noqa: F401
import links  # noqa: F401
import locking  # noqa: F401
import mapping  # noqa: F401
import opening  # noqa: F401
import renaming  # noqa: F401
import room  # noqa: F401
import special  # noqa: F401
from case import CASES, attempt, name_of

TIME = 1_600_000_000_123_456_789
PATTERN = bytes(i * 7 % 251 for i in range(12_388))
SECONDS = 30


def prepare(place):
    """One folder of the lower layer: everything that a behaviour may want to find there."""
    os.makedirs(f'{place}/dir/sub')
    os.mkdir(f'{place}/emptydir')
    os.mkdir(f'{place}/setgid', 0o755)
    os.chmod(f'{place}/setgid', 0o2755)
    for name in ('file', 'other', 'hard1', 'attrs', 'dir/a', 'dir/b', 'dir/c', 'dir/sub/x'):
        with open(f'{place}/{name}', 'wb') as file:
            file.write(PATTERN)
    open(f'{place}/empty', 'wb').close()
    with open(f'{place}/sparse', 'wb') as file:
        file.seek(65_536)
        file.write(b'end')
    os.link(f'{place}/hard1', f'{place}/hard2')
    os.symlink('file', f'{place}/link')
    os.mkfifo(f'{place}/fifo')
    os.setxattr(f'{place}/attrs', 'user.lower', b'value')
    for name in os.listdir(place):
        os.utime(f'{place}/{name}', ns=(TIME, TIME), follow_symlinks=False)


def play(case, place):
    """What a behaviour gives, in a process of its own, so that none can disturb another."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(SECONDS)
        try:
            got = case.run(place)
        except OSError as error:
            got = name_of(error)
        except BaseException as error:  # a mistake of the behaviour itself
            got = f'{type(error).__name__}: {error}'
        os.write(writer, str(got).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        got = answer.read()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return got


def main():
    os.umask(0o022)
    if sys.argv[1] == '--list':
        for case in CASES:
            print(json.dumps({'id': case.ident, 'text': case.text}))
        return
    if sys.argv[1] == '--prepare':
        for case in CASES:
            if case.lower:
                prepare(f'{sys.argv[2]}/low/{case.ident}')
        return
    # Relative from here on: other users cannot pass the folders above.
    os.chdir(sys.argv[1])
    root = '.'
    attempt(lambda: os.mkdir(f'{root}/up'))
    for case in CASES:
        place = f'{root}/low/{case.ident}'
        if not case.lower:
            place = f'{root}/up/{case.ident}'
            os.mkdir(place)
        print(json.dumps({'id': case.ident, 'text': case.text, 'got': play(case, place)}), flush=True)


main()
