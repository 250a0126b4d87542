"""flock(2), record locks, open file description locks, leases."""
import fcntl
import os
import struct

from case import attempt, behaviour, in_child, write

OFD_SETLK = 37


def record(kind, start=0, length=0):
    """struct flock on 64-bit machines."""
    return struct.pack('hhqqi4x', kind, os.SEEK_SET, start, length, 0)


def seen_by_other(act):
    """What another process gets."""
    return 'granted' if in_child(lambda: 0 if attempt(act) == 'ok' else 1) == 'exit 0' else 'refused'


@behaviour('flock-exclusive', 'flock: a second process is refused, and granted after the first closes')
def _(d):
    write(f'{d}/a', b'')
    fd = os.open(f'{d}/a', os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)

    def other():
        fcntl.flock(os.open(f'{d}/a', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)

    held = seen_by_other(other)
    os.close(fd)
    return [held, seen_by_other(other)]


@behaviour('flock-shared', 'flock: two shared locks, no exclusive one beside')
def _(d):
    write(f'{d}/a', b'')
    fcntl.flock(os.open(f'{d}/a', os.O_RDWR), fcntl.LOCK_SH)

    def other(kind):
        return seen_by_other(
            lambda: fcntl.flock(os.open(f'{d}/a', os.O_RDWR), kind | fcntl.LOCK_NB)
        )

    return [other(fcntl.LOCK_SH), other(fcntl.LOCK_EX)]


@behaviour('flock-lower', 'flock on a file of the image, before and after it is written', lower=True)
def _(d):
    fcntl.flock(os.open(f'{d}/file', os.O_RDONLY), fcntl.LOCK_EX)
    other = lambda: seen_by_other(
        lambda: fcntl.flock(os.open(f'{d}/file', os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    )
    before = other()
    write(f'{d}/file', b'x', os.O_WRONLY)
    return [before, other()]


@behaviour('flock-directory', 'flock on a directory of the image', lower=True)
def _(d):
    fcntl.flock(os.open(f'{d}/dir', os.O_RDONLY), fcntl.LOCK_EX)
    return seen_by_other(
        lambda: fcntl.flock(os.open(f'{d}/dir', os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    )


@behaviour('record-conflict', 'fcntl: the same range is refused, another is granted')
def _(d):
    write(f'{d}/a', bytes(100))
    fcntl.lockf(os.open(f'{d}/a', os.O_RDWR), fcntl.LOCK_EX, 10, 0)

    def other(start):
        return seen_by_other(
            lambda: fcntl.lockf(
                os.open(f'{d}/a', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 10, start
            )
        )

    return [other(5), other(10)]


@behaviour('record-lost-on-close', 'fcntl: closing any descriptor of the file gives the lock up')
def _(d):
    write(f'{d}/a', b'')
    fcntl.lockf(os.open(f'{d}/a', os.O_RDWR), fcntl.LOCK_EX)
    os.close(os.open(f'{d}/a', os.O_RDONLY))
    return seen_by_other(
        lambda: fcntl.lockf(os.open(f'{d}/a', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    )


@behaviour('record-lower', 'fcntl: a read lock on a file of the image against a writer', lower=True)
def _(d):
    fcntl.fcntl(os.open(f'{d}/file', os.O_RDONLY), fcntl.F_SETLK, record(fcntl.F_RDLCK))
    return seen_by_other(
        lambda: fcntl.lockf(os.open(f'{d}/file', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    )


@behaviour('record-getlk', 'fcntl: F_GETLK names the holder')
def _(d):
    write(f'{d}/a', b'')
    fd = os.open(f'{d}/a', os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    holder = os.getpid()

    def other():
        found = fcntl.fcntl(os.open(f'{d}/a', os.O_RDWR), fcntl.F_GETLK, record(fcntl.F_WRLCK))
        return 0 if struct.unpack('hhqqi4x', found)[4] == holder else 1

    return in_child(other)


@behaviour('ofd-conflict', 'open file description locks exclude each other within one process')
def _(d):
    write(f'{d}/a', b'')
    first, second = [os.open(f'{d}/a', os.O_RDWR) for _ in range(2)]
    fcntl.fcntl(first, OFD_SETLK, record(fcntl.F_WRLCK))
    return attempt(lambda: fcntl.fcntl(second, OFD_SETLK, record(fcntl.F_WRLCK)))


@behaviour('ofd-inherited', 'an open file description lock stays with a forked descriptor')
def _(d):
    write(f'{d}/a', b'')
    fd = os.open(f'{d}/a', os.O_RDWR)
    fcntl.fcntl(fd, OFD_SETLK, record(fcntl.F_WRLCK))
    return in_child(
        lambda: 0 if attempt(lambda: fcntl.fcntl(fd, OFD_SETLK, record(fcntl.F_WRLCK))) == 'ok' else 1
    )


@behaviour('lease', 'F_SETLEASE for writing on a new file')
def _(d):
    write(f'{d}/a', b'')
    fd = os.open(f'{d}/a', os.O_RDWR)
    return attempt(lambda: fcntl.fcntl(fd, 1024, fcntl.F_WRLCK))
