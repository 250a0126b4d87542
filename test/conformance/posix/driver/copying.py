"""Copies within the kernel."""
import fcntl
import os

from case import attempt, behaviour, read, write


def target(d):
    return os.open(f'{d}/copy', os.O_RDWR | os.O_CREAT, 0o644)


@behaviour('sendfile', 'sendfile from a file of the image to a new one', lower=True)
def _(d):
    count = os.sendfile(target(d), os.open(f'{d}/file', os.O_RDONLY), 0, 99_999)
    return [count, read(f'{d}/copy') == read(f'{d}/file')]


@behaviour('splice', 'splice from a file of the image through a pipe', lower=True)
def _(d):
    reader, writer = os.pipe()
    count = os.splice(os.open(f'{d}/file', os.O_RDONLY), writer, 9999)
    os.splice(reader, target(d), count)
    return [count, read(f'{d}/copy') == read(f'{d}/file')[:count]]


@behaviour('splice-to-pipe-new', 'splice from a new file')
def _(d):
    write(f'{d}/a', b'x' * 5000)
    reader, writer = os.pipe()
    os.splice(os.open(f'{d}/a', os.O_RDONLY), writer, 5000)
    return len(os.read(reader, 9999))


@behaviour('copy-file-range', 'copy_file_range between new files')
def _(d):
    write(f'{d}/a', b'x' * 50_000)
    count = os.copy_file_range(os.open(f'{d}/a', os.O_RDONLY), target(d), 50_000)
    return [count, len(read(f'{d}/copy'))]


@behaviour('copy-file-range-lower', 'copy_file_range from a file of the image', lower=True)
def _(d):
    source = os.open(f'{d}/file', os.O_RDONLY)
    count = os.copy_file_range(source, target(d), 99_999)
    return [count, read(f'{d}/copy') == read(f'{d}/file')]


@behaviour('copy-file-range-overlap', 'copy_file_range onto itself, overlapping')
def _(d):
    write(f'{d}/a', b'x' * 8192)
    fd = os.open(f'{d}/a', os.O_RDWR)
    return attempt(lambda: os.copy_file_range(fd, fd, 4096, 0, 100))


@behaviour('clone', 'FICLONE between new files')
def _(d):
    write(f'{d}/a', b'x' * 4096)
    source = os.open(f'{d}/a', os.O_RDONLY)
    return attempt(lambda: fcntl.ioctl(target(d), 0x40049409, source))


@behaviour('clone-lower', 'FICLONE of a file of the image', lower=True)
def _(d):
    source = os.open(f'{d}/file', os.O_RDONLY)
    return attempt(lambda: fcntl.ioctl(target(d), 0x40049409, source))


@behaviour('readv-writev', 'preadv and pwritev')
def _(d):
    fd = target(d)
    os.pwritev(fd, [b'one', b'two', b'three'], 5)
    first, second = bytearray(4), bytearray(4)
    os.preadv(fd, [first, second], 5)
    return bytes(first + second)
