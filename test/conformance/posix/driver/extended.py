"""Extended attributes, access control lists, file capabilities, inode flags."""
import fcntl
import os
import stat
import struct

from case import as_user, attempt, behaviour, read, write

CAPABILITY = struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0)
GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND = 0x10, 0x20


def acl(*entries):
    """system.posix_acl_*: version 2, then tag, permissions, id each."""
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
FOR_1000 = acl((1, 6, NOBODY), (2, 7, 1000), (4, 4, NOBODY), (16, 7, NOBODY), (32, 0, NOBODY))


def set_flags(path, flags):
    fd = os.open(path, os.O_RDONLY)
    try:
        found = struct.unpack('i', fcntl.ioctl(fd, GET_FLAGS, bytes(4)))[0]
        fcntl.ioctl(fd, SET_FLAGS, struct.pack('i', found & ~(IMMUTABLE | APPEND) | flags))
    finally:
        os.close(fd)


@behaviour('xattr-user', 'user attribute: set, get, list, remove')
def _(d):
    write(f'{d}/a', b'')
    os.setxattr(f'{d}/a', 'user.k', b'v')
    got = [os.getxattr(f'{d}/a', 'user.k'), os.listxattr(f'{d}/a')]
    os.removexattr(f'{d}/a', 'user.k')
    return [got, attempt(lambda: os.getxattr(f'{d}/a', 'user.k'))]


@behaviour('xattr-lower', 'user attribute of a file of the image, before and after it is written', lower=True)
def _(d):
    before = os.getxattr(f'{d}/attrs', 'user.lower')
    write(f'{d}/attrs', b'x', os.O_WRONLY)
    return [before, os.getxattr(f'{d}/attrs', 'user.lower')]


@behaviour('xattr-set-lower', 'setting an attribute of a file of the image', lower=True)
def _(d):
    os.setxattr(f'{d}/file', 'user.k', b'v')
    return [os.getxattr(f'{d}/file', 'user.k'), len(read(f'{d}/file'))]


@behaviour('xattr-remove-lower', 'removing an attribute of a file of the image', lower=True)
def _(d):
    os.removexattr(f'{d}/attrs', 'user.lower')
    return os.listxattr(f'{d}/attrs')


@behaviour('xattr-trusted', 'trusted attribute')
def _(d):
    write(f'{d}/a', b'')
    os.setxattr(f'{d}/a', 'trusted.k', b'v')
    return os.getxattr(f'{d}/a', 'trusted.k')


@behaviour('xattr-trusted-other', 'trusted attribute, by somebody without capabilities')
def _(d):
    write(f'{d}/a', b'')
    os.chmod(f'{d}/a', 0o666)
    return as_user(1000, lambda: os.setxattr(f'{d}/a', 'trusted.k', b'v'))


@behaviour('xattr-overlay-hidden', 'attributes of overlayfs itself are not shown', lower=True)
def _(d):
    os.chmod(f'{d}/dir', 0o700)
    return os.listxattr(f'{d}/dir')


@behaviour('xattr-flags', 'XATTR_CREATE on an existing and XATTR_REPLACE on a missing attribute')
def _(d):
    write(f'{d}/a', b'')
    os.setxattr(f'{d}/a', 'user.k', b'v')
    return [
        attempt(lambda: os.setxattr(f'{d}/a', 'user.k', b'', os.XATTR_CREATE)),
        attempt(lambda: os.setxattr(f'{d}/a', 'user.n', b'', os.XATTR_REPLACE)),
    ]


@behaviour('xattr-symlink', 'user attribute of a symbolic link')
def _(d):
    os.symlink('x', f'{d}/a')
    return attempt(lambda: os.setxattr(f'{d}/a', 'user.k', b'v', follow_symlinks=False))


@behaviour('xattr-fifo', 'user attribute of a fifo')
def _(d):
    os.mkfifo(f'{d}/a')
    return attempt(lambda: os.setxattr(f'{d}/a', 'user.k', b'v'))


@behaviour('xattr-directory', 'user attribute of a directory')
def _(d):
    os.setxattr(d, 'user.k', b'v')
    return os.getxattr(d, 'user.k')


@behaviour('xattr-3000', 'a value of 3,000 bytes')
def _(d):
    write(f'{d}/a', b'')
    os.setxattr(f'{d}/a', 'user.k', b'v' * 3000)
    return len(os.getxattr(f'{d}/a', 'user.k'))


@behaviour('xattr-60000', 'a value of 60,000 bytes')
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: os.setxattr(f'{d}/a', 'user.k', b'v' * 60_000))


@behaviour('xattr-70000', 'a value of more than 64 KiB')
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: os.setxattr(f'{d}/a', 'user.k', b'v' * 70_000))


@behaviour('xattr-many', 'fifty attributes of 50 bytes')
def _(d):
    write(f'{d}/a', b'')
    for i in range(50):
        os.setxattr(f'{d}/a', f'user.k{i}', b'v' * 50)
    return len(os.listxattr(f'{d}/a'))


@behaviour('capability', 'file capabilities are set and read')
def _(d):
    write(f'{d}/a', b'')
    os.setxattr(f'{d}/a', 'security.capability', CAPABILITY)
    return os.getxattr(f'{d}/a', 'security.capability') == CAPABILITY


@behaviour('capability-chown', 'chown takes file capabilities away')
def _(d):
    write(f'{d}/a', b'')
    os.setxattr(f'{d}/a', 'security.capability', CAPABILITY)
    os.chown(f'{d}/a', 1, 1)
    return os.listxattr(f'{d}/a')


@behaviour('capability-write', 'a write takes file capabilities away')
def _(d):
    write(f'{d}/a', b'')
    os.setxattr(f'{d}/a', 'security.capability', CAPABILITY)
    write(f'{d}/a', b'x', os.O_WRONLY)
    return os.listxattr(f'{d}/a')


@behaviour('acl', 'an access control list gives one user more than the others have')
def _(d):
    write(f'{d}/a', b'', mode=0o600)
    os.setxattr(f'{d}/a', 'system.posix_acl_access', FOR_1000)
    return [
        as_user(1000, lambda: write(f'{d}/a', b'x', os.O_WRONLY)),
        as_user(1001, lambda: read(f'{d}/a')),
        oct(stat.S_IMODE(os.stat(f'{d}/a').st_mode)),
    ]


@behaviour('acl-lower', 'an access control list on a file of the image', lower=True)
def _(d):
    os.setxattr(f'{d}/file', 'system.posix_acl_access', FOR_1000)
    return [
        as_user(1000, lambda: write(f'{d}/file', b'x', os.O_WRONLY)),
        as_user(1001, lambda: read(f'{d}/file')),
    ]


@behaviour('acl-lower-touched', 'the same once the file was changed in any way', lower=True)
def _(d):
    os.chmod(f'{d}/file', 0o600)
    os.setxattr(f'{d}/file', 'system.posix_acl_access', FOR_1000)
    return [
        as_user(1000, lambda: write(f'{d}/file', b'x', os.O_WRONLY)),
        as_user(1001, lambda: read(f'{d}/file')),
    ]


@behaviour('acl-default', 'a default list is inherited')
def _(d):
    os.mkdir(f'{d}/a')
    os.setxattr(f'{d}/a', 'system.posix_acl_default', FOR_1000)
    write(f'{d}/a/b', b'', mode=0o666)
    return os.getxattr(f'{d}/a/b', 'system.posix_acl_access') is not None


@behaviour('acl-chmod', 'chmod changes the mask of a list')
def _(d):
    write(f'{d}/a', b'', mode=0o600)
    os.setxattr(f'{d}/a', 'system.posix_acl_access', FOR_1000)
    os.chmod(f'{d}/a', 0o600)
    return as_user(1000, lambda: read(f'{d}/a'))


@behaviour('flags-read', 'inode flags can be read')
def _(d):
    write(f'{d}/a', b'')
    fd = os.open(f'{d}/a', os.O_RDONLY)
    return attempt(lambda: fcntl.ioctl(fd, GET_FLAGS, bytes(8)))


@behaviour('flags-immutable', 'an immutable file: no write, no unlink, no link')
def _(d):
    write(f'{d}/a', b'')
    set_flags(f'{d}/a', IMMUTABLE)
    got = [
        attempt(lambda: write(f'{d}/a', b'x', os.O_WRONLY)),
        attempt(lambda: os.unlink(f'{d}/a')),
        attempt(lambda: os.link(f'{d}/a', f'{d}/b')),
    ]
    set_flags(f'{d}/a', 0)
    return [got, attempt(lambda: os.unlink(f'{d}/a'))]


@behaviour('flags-append', 'an append-only file')
def _(d):
    write(f'{d}/a', b'')
    set_flags(f'{d}/a', APPEND)
    got = [
        attempt(lambda: write(f'{d}/a', b'x', os.O_WRONLY)),
        attempt(lambda: write(f'{d}/a', b'x', os.O_WRONLY | os.O_APPEND)),
        attempt(lambda: os.truncate(f'{d}/a', 0)),
    ]
    set_flags(f'{d}/a', 0)
    return got


@behaviour('flags-immutable-lower', 'a file of the image made immutable', lower=True)
def _(d):
    set_flags(f'{d}/file', IMMUTABLE)
    got = attempt(lambda: write(f'{d}/file', b'x', os.O_WRONLY))
    set_flags(f'{d}/file', 0)
    return got


@behaviour('flags-immutable-lower-touched', 'the same once the file was changed in any way', lower=True)
def _(d):
    os.chmod(f'{d}/file', 0o600)
    set_flags(f'{d}/file', IMMUTABLE)
    got = attempt(lambda: write(f'{d}/file', b'x', os.O_WRONLY))
    set_flags(f'{d}/file', 0)
    return got
