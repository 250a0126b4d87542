"""What a behaviour is, and the system calls that Python's os module lacks."""
import ctypes
import errno
import os
import signal

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
CASES = []


class Case:
    """One behaviour: `run(place)` gives what was seen, as a short text that no run changes."""

    def __init__(self, ident, text, run, lower):
        self.ident = ident
        self.text = text
        self.run = run
        # Whether it wants a prepared folder of the lower layer.
        self.lower = lower


def behaviour(ident, text, lower=False):
    def add(run):
        CASES.append(Case(ident, text, run, lower))
        return run

    return add


def check(result, *_):
    """The result of a C call, or OSError."""
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def attempt(act):
    """`ok`, or the name of the error."""
    try:
        act()
        return 'ok'
    except OSError as error:
        return name_of(error)


def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def write(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def read(path):
    with open(path, 'rb', buffering=0) as file:
        return file.read()


def rename2(old, new, flags):
    check(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


def flush(place):
    """Writes out the filesystem of `place`, and no other."""
    fd = os.open(place, os.O_RDONLY)
    try:
        check(libc.syncfs(fd))
    finally:
        os.close(fd)


def fallocate(fd, mode, offset, length):
    check(libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def in_child(act):
    """Runs `act` in a process of its own: `exit N`, or the name of the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = act() or 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f'exit {os.WEXITSTATUS(status)}'


def as_user(uid, act):
    """What `attempt` says of `act` when somebody else does it."""
    reader, writer = os.pipe()

    def child():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.write(writer, attempt(act).encode())

    in_child(child)
    os.close(writer)
    with os.fdopen(reader) as answer:
        return answer.read()
