"""open(2) and what a descriptor means afterwards."""
import os
import threading

from case import AT_FDCWD, attempt, behaviour, check, in_child, libc, read, write


def give_name(fd, path):
    """linkat with AT_SYMLINK_FOLLOW, as open(2) describes it for O_TMPFILE."""
    name = f'/proc/self/fd/{fd}'.encode()
    check(libc.linkat(AT_FDCWD, name, AT_FDCWD, os.fsencode(path), 0x400))


@behaviour('append-concurrent', 'four processes append 200 lines each: none is lost or torn')
def _(d):
    pids = []
    for who in range(4):
        pid = os.fork()
        if pid == 0:
            fd = os.open(f'{d}/log', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for i in range(200):
                os.write(fd, f'{who} {i:04}\n'.encode())
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return len(set(read(f'{d}/log').splitlines()))


@behaviour('append-lower', 'append to a file of the image', lower=True)
def _(d):
    write(f'{d}/file', b'end', os.O_WRONLY | os.O_APPEND)
    data = read(f'{d}/file')
    return [len(data), data[-3:]]


@behaviour('append-pwrite', 'pwrite on an O_APPEND descriptor appends')
def _(d):
    write(f'{d}/a', b'one')
    fd = os.open(f'{d}/a', os.O_RDWR | os.O_APPEND)
    os.pwrite(fd, b'two', 0)
    return read(f'{d}/a')


@behaviour('tmpfile', 'O_TMPFILE, written and read')
def _(d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b'hidden')
    return [os.pread(fd, 9, 0), os.fstat(fd).st_nlink, os.listdir(d)]


@behaviour('tmpfile-link', 'O_TMPFILE, then given a name')
def _(d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b'hidden')
    give_name(fd, f'{d}/named')
    return read(f'{d}/named')


@behaviour('tmpfile-exclusive', 'O_TMPFILE with O_EXCL cannot be given a name')
def _(d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    return attempt(lambda: give_name(fd, f'{d}/named'))


@behaviour('tmpfile-lower-directory', 'O_TMPFILE in a directory of the image', lower=True)
def _(d):
    fd = os.open(f'{d}/dir', os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b'hidden')
    return os.pread(fd, 9, 0)


@behaviour('exclusive-race', 'O_EXCL from eight threads: one wins')
def _(d):
    won = []

    def make():
        if attempt(lambda: write(f'{d}/a', b'', os.O_WRONLY | os.O_CREAT | os.O_EXCL)) == 'ok':
            won.append(1)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(won)


@behaviour('exclusive-lower', 'O_EXCL on a name of the image', lower=True)
def _(d):
    return attempt(lambda: write(f'{d}/file', b'', os.O_WRONLY | os.O_CREAT | os.O_EXCL))


@behaviour('truncate-open-lower', 'O_TRUNC on a file of the image', lower=True)
def _(d):
    write(f'{d}/file', b'short')
    return read(f'{d}/file')


@behaviour('nofollow', 'O_NOFOLLOW on a symbolic link', lower=True)
def _(d):
    return attempt(lambda: os.open(f'{d}/link', os.O_RDONLY | os.O_NOFOLLOW))


@behaviour('open-directory-flag', 'O_DIRECTORY on a file', lower=True)
def _(d):
    return attempt(lambda: os.open(f'{d}/file', os.O_RDONLY | os.O_DIRECTORY))


@behaviour('open-directory-write', 'a directory opened for writing', lower=True)
def _(d):
    return attempt(lambda: os.open(f'{d}/dir', os.O_WRONLY))


@behaviour('open-path', 'O_PATH: stat works, read does not', lower=True)
def _(d):
    fd = os.open(f'{d}/file', os.O_PATH)
    return [os.fstat(fd).st_size, attempt(lambda: os.read(fd, 1))]


@behaviour('open-stale', 'a reader that opened a file of the image before it was written sees the old bytes', lower=True)
def _(d):
    fd = os.open(f'{d}/file', os.O_RDONLY)
    before = os.pread(fd, 3, 0)
    write(f'{d}/file', b'new', os.O_WRONLY)
    return [os.pread(fd, 3, 0) == before, read(f'{d}/file')[:3]]


@behaviour('open-noatime-other', 'O_NOATIME by somebody who does not own the file', lower=True)
def _(d):
    from case import as_user
    return as_user(1000, lambda: os.open(f'{d}/file', os.O_RDONLY | os.O_NOATIME))


@behaviour('direct-write-read', 'O_DIRECT, aligned')
def _(d):
    import mmap
    page = mmap.mmap(-1, 4096)
    page[:] = b'd' * 4096
    fd = os.open(f'{d}/a', os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    os.write(fd, page)
    return [os.preadv(fd, [page], 0), page[0:1], len(read(f'{d}/a'))]


@behaviour('direct-unaligned', 'O_DIRECT, an odd length')
def _(d):
    fd = os.open(f'{d}/a', os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    return attempt(lambda: os.write(fd, b'odd'))


@behaviour('direct-lower', 'O_DIRECT on a file of the image', lower=True)
def _(d):
    import mmap
    page = mmap.mmap(-1, 4096)
    fd = os.open(f'{d}/file', os.O_RDONLY | os.O_DIRECT)
    return os.preadv(fd, [page], 0)


@behaviour('descriptor-name', 'the name of a descriptor in /proc follows a rename')
def _(d):
    write(f'{d}/a', b'')
    fd = os.open(f'{d}/a', os.O_RDONLY)
    os.rename(f'{d}/a', f'{d}/b')
    return os.readlink(f'/proc/self/fd/{fd}').endswith('/b')


@behaviour('reopen-proc', 'a file is opened again through /proc for writing', lower=True)
def _(d):
    fd = os.open(f'{d}/file', os.O_RDONLY)
    write(f'/proc/self/fd/{fd}', b'new', os.O_WRONLY)
    return read(f'{d}/file')[:3]


@behaviour('write-read-only-fd', 'write to a descriptor for reading')
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: os.write(os.open(f'{d}/a', os.O_RDONLY), b'x'))


@behaviour('execute-busy', 'writing a program that runs')
def _(d):
    import shutil
    import subprocess
    shutil.copy('/bin/sleep', f'{d}/sleep')
    child = subprocess.Popen([f'{d}/sleep', '60'])
    try:
        return attempt(lambda: os.open(f'{d}/sleep', os.O_WRONLY))
    finally:
        child.kill()
        child.wait()


@behaviour('execute-open-for-writing', 'running a program that is open for writing')
def _(d):
    import shutil
    shutil.copy('/bin/true', f'{d}/true')
    fd = os.open(f'{d}/true', os.O_WRONLY)
    try:
        return attempt(lambda: os.posix_spawn(f'{d}/true', ['true'], {}))
    finally:
        os.close(fd)


@behaviour('execute-new', 'running a program that was just written')
def _(d):
    write(f'{d}/script', b'#!/bin/sh\nexit 7\n', mode=0o755)
    return in_child(lambda: os.execv(f'{d}/script', ['script']))


@behaviour('openat2-beneath', 'openat2 with RESOLVE_BENEATH does not leave its directory', lower=True)
def _(d):
    import ctypes
    how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0x08)
    root = os.open(f'{d}/dir', os.O_PATH)

    def beneath(path):
        return attempt(lambda: check(libc.syscall(437, root, path, ctypes.byref(how), 24)))

    return [beneath(b'a'), beneath(b'../file')]


@behaviour('faccess', 'access of root to a file nobody may execute', lower=True)
def _(d):
    return [os.access(f'{d}/file', os.R_OK | os.W_OK), os.access(f'{d}/file', os.X_OK)]


@behaviour('linkat-empty-path', 'linkat of a descriptor whose file was unlinked')
def _(d):
    write(f'{d}/a', b'')
    fd = os.open(f'{d}/a', os.O_RDONLY)
    os.unlink(f'{d}/a')
    return attempt(lambda: check(libc.linkat(fd, b'', AT_FDCWD, os.fsencode(f'{d}/b'), 0x1000)))
