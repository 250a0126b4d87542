"""Modes, owners, times and inode numbers."""
import os
import stat

from case import as_user, attempt, behaviour, flush, read, write

NS = 1_500_000_000_987_654_321


def mode(path):
    return oct(stat.S_IMODE(os.lstat(path).st_mode))


@behaviour('chmod-lower', 'chmod of a file of the image keeps bytes and time', lower=True)
def _(d):
    before = os.stat(f'{d}/file')
    os.chmod(f'{d}/file', 0o640)
    after = os.stat(f'{d}/file')
    return [mode(f'{d}/file'), after.st_size, after.st_mtime_ns == before.st_mtime_ns]


@behaviour('chown-lower', 'chown of a file of the image keeps bytes and mode', lower=True)
def _(d):
    os.chown(f'{d}/file', 1234, 5678)
    found = os.stat(f'{d}/file')
    return [found.st_uid, found.st_gid, mode(f'{d}/file'), found.st_size]


@behaviour('chown-lower-link', 'lchown of a symbolic link of the image', lower=True)
def _(d):
    os.lchown(f'{d}/link', 1234, 5678)
    return [os.lstat(f'{d}/link').st_uid, os.readlink(f'{d}/link'), os.stat(f'{d}/file').st_uid]


@behaviour('chown-lower-directory', 'chown of a directory of the image keeps its entries', lower=True)
def _(d):
    os.chown(f'{d}/dir', 1234, 5678)
    return [os.stat(f'{d}/dir').st_gid, sorted(os.listdir(f'{d}/dir'))]


@behaviour('chown-clears-setuid', 'chown of a file with set-user-ID bit')
def _(d):
    write(f'{d}/a', b'')
    os.chmod(f'{d}/a', 0o4755)
    os.chown(f'{d}/a', 1, 1)
    return mode(f'{d}/a')


@behaviour('write-clears-setuid', 'a write by somebody else clears the set-user-ID bit')
def _(d):
    write(f'{d}/a', b'')
    os.chmod(f'{d}/a', 0o4777)
    done = as_user(1000, lambda: write(f'{d}/a', b'x', os.O_WRONLY))
    return [done, mode(f'{d}/a')]


@behaviour('chmod-other', 'chmod by somebody who is not the owner', lower=True)
def _(d):
    return as_user(1000, lambda: os.chmod(f'{d}/file', 0o777))


@behaviour('permission-denied', 'a file that somebody else may not read')
def _(d):
    write(f'{d}/a', b'', mode=0o600)
    return as_user(1000, lambda: read(f'{d}/a'))


@behaviour('write-lower-denied', 'writing a file of the image without permission', lower=True)
def _(d):
    return as_user(1000, lambda: write(f'{d}/file', b'x', os.O_WRONLY))


@behaviour('search-denied', 'a directory that somebody else may not search')
def _(d):
    os.mkdir(f'{d}/a')
    write(f'{d}/a/b', b'')
    os.chmod(f'{d}/a', 0o644)
    return as_user(1000, lambda: os.stat(f'{d}/a/b'))


@behaviour('sticky', 'a sticky directory: nobody removes what is not his')
def _(d):
    os.mkdir(f'{d}/a')
    os.chmod(f'{d}/a', 0o1777)
    write(f'{d}/a/b', b'')
    return [
        as_user(1000, lambda: os.unlink(f'{d}/a/b')),
        as_user(1000, lambda: os.rename(f'{d}/a/b', f'{d}/a/c')),
        as_user(1000, lambda: write(f'{d}/a/own', b'')),
    ]


@behaviour('setgid-directory', 'a set-group-ID directory gives its group to files and directories')
def _(d):
    os.mkdir(f'{d}/a')
    os.chown(f'{d}/a', 0, 777)
    os.chmod(f'{d}/a', 0o2775)
    write(f'{d}/a/file', b'')
    os.mkdir(f'{d}/a/sub')
    return [os.stat(f'{d}/a/file').st_gid, os.stat(f'{d}/a/sub').st_gid, mode(f'{d}/a/sub')]


@behaviour('setgid-lower', 'a set-group-ID directory of the image', lower=True)
def _(d):
    before = mode(f'{d}/setgid')
    os.chown(f'{d}/setgid', 0, 777)
    os.mkdir(f'{d}/setgid/sub')
    return [before, os.stat(f'{d}/setgid/sub').st_gid, mode(f'{d}/setgid/sub')]


@behaviour('umask', 'umask on files and directories')
def _(d):
    os.umask(0o027)
    write(f'{d}/a', b'', mode=0o666)
    os.mkdir(f'{d}/b', 0o777)
    return [mode(f'{d}/a'), mode(f'{d}/b')]


@behaviour('utimens', 'times to the nanosecond on a new file')
def _(d):
    write(f'{d}/a', b'')
    os.utime(f'{d}/a', ns=(NS, NS + 1))
    found = os.stat(f'{d}/a')
    return [found.st_atime_ns - NS, found.st_mtime_ns - NS]


@behaviour('utimens-lower', 'times to the nanosecond on a file of the image', lower=True)
def _(d):
    os.utime(f'{d}/file', ns=(NS, NS + 1))
    found = os.stat(f'{d}/file')
    return [found.st_atime_ns - NS, found.st_mtime_ns - NS, found.st_size]


@behaviour('mtime-lower', 'the time of a file of the image, to the nanosecond', lower=True)
def _(d):
    return os.stat(f'{d}/file').st_mtime_ns


@behaviour('utimens-before-1970', 'a time before 1970')
def _(d):
    write(f'{d}/a', b'')
    os.utime(f'{d}/a', ns=(-1_000_000_000, -1_000_000_000))
    return os.stat(f'{d}/a').st_mtime_ns


@behaviour('utimens-after-2446', 'a time after 2446')
def _(d):
    write(f'{d}/a', b'')
    os.utime(f'{d}/a', (16_000_000_000, 16_000_000_000))
    return os.stat(f'{d}/a').st_mtime


@behaviour('utimens-link', 'times of a symbolic link itself', lower=True)
def _(d):
    os.utime(f'{d}/link', ns=(NS, NS), follow_symlinks=False)
    return [os.lstat(f'{d}/link').st_mtime_ns - NS, os.stat(f'{d}/link').st_mtime_ns == NS]


@behaviour('mtime-of-write', 'a write moves mtime and ctime, a chmod only ctime')
def _(d):
    write(f'{d}/a', b'')
    os.utime(f'{d}/a', ns=(NS, NS))
    first = os.stat(f'{d}/a')
    os.chmod(f'{d}/a', 0o600)
    second = os.stat(f'{d}/a')
    write(f'{d}/a', b'x', os.O_WRONLY)
    third = os.stat(f'{d}/a')
    return [
        second.st_mtime_ns == first.st_mtime_ns,
        second.st_ctime_ns >= first.st_ctime_ns,
        third.st_mtime_ns > NS,
    ]


@behaviour('mtime-of-directory', 'a new entry moves the time of its directory', lower=True)
def _(d):
    before = os.stat(f'{d}/dir').st_mtime_ns
    write(f'{d}/dir/new', b'')
    return os.stat(f'{d}/dir').st_mtime_ns > before


@behaviour('ino-stable', 'the inode number of a file of the image stays when it is written', lower=True)
def _(d):
    before = os.stat(f'{d}/file')
    write(f'{d}/file', b'x', os.O_WRONLY)
    after = os.stat(f'{d}/file')
    return [before.st_ino == after.st_ino, before.st_dev == after.st_dev]


@behaviour('ino-forgotten', 'and also when the kernel forgot the file in between', lower=True)
def _(d):
    before = os.stat(f'{d}/file').st_ino
    write(f'{d}/file', b'x', os.O_WRONLY)
    flush(d)
    write('/proc/sys/vm/drop_caches', b'2', os.O_WRONLY)
    return before == os.stat(f'{d}/file').st_ino


@behaviour('ino-stable-directory', 'the inode number of a directory of the image stays', lower=True)
def _(d):
    before = os.stat(f'{d}/dir')
    write(f'{d}/dir/new', b'')
    after = os.stat(f'{d}/dir')
    return [before.st_ino == after.st_ino, before.st_dev == after.st_dev]


@behaviour('dev-of-new-file', 'a new file has the device number of its directory')
def _(d):
    write(f'{d}/a', b'')
    return os.stat(f'{d}/a').st_dev == os.stat(d).st_dev


@behaviour('dev-of-lower-file', 'a file of the image has the device number of its directory', lower=True)
def _(d):
    return os.stat(f'{d}/file').st_dev == os.stat(d).st_dev


@behaviour('dirent-ino', 'readdir and stat give the same inode numbers', lower=True)
def _(d):
    write(f'{d}/new', b'')
    return all(entry.inode() == entry.stat(follow_symlinks=False).st_ino for entry in os.scandir(d))


@behaviour('fstat-unlinked', 'nlink of an unlinked file is 0')
def _(d):
    fd = os.open(f'{d}/a', os.O_RDWR | os.O_CREAT)
    os.unlink(f'{d}/a')
    return os.fstat(fd).st_nlink


@behaviour('blocks', 'a file of one megabyte has as many blocks')
def _(d):
    write(f'{d}/a', bytes(1 << 20))
    flush(d)
    return os.stat(f'{d}/a').st_blocks


@behaviour('setattr-missing', 'chmod, chown and utimes of what is not there')
def _(d):
    return [
        attempt(lambda: os.chmod(f'{d}/a', 0)),
        attempt(lambda: os.chown(f'{d}/a', 0, 0)),
        attempt(lambda: os.utime(f'{d}/a')),
    ]
