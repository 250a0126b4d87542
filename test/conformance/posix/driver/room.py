"""Lengths, holes, space, flushing."""
import os

from case import attempt, behaviour, check, fallocate, flush, libc, read, write

KEEP_SIZE, PUNCH, COLLAPSE, ZERO, INSERT = 1, 2, 8, 16, 32
PAGE = 4096


def opened(path):
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


@behaviour('truncate-extend', 'truncate makes a file longer with zeros')
def _(d):
    write(f'{d}/a', b'abc')
    os.truncate(f'{d}/a', 10_000)
    return [len(read(f'{d}/a')), read(f'{d}/a')[:5]]


@behaviour('truncate-shrink-extend', 'what was cut off does not come back')
def _(d):
    write(f'{d}/a', b'x' * 9000)
    os.truncate(f'{d}/a', 10)
    os.truncate(f'{d}/a', 9000)
    return read(f'{d}/a').count(b'x')


@behaviour('truncate-lower', 'truncate a file of the image', lower=True)
def _(d):
    before = read(f'{d}/file')
    os.truncate(f'{d}/file', 5000)
    return read(f'{d}/file') == before[:5000]


@behaviour('truncate-lower-extend', 'truncate makes a file of the image longer', lower=True)
def _(d):
    os.truncate(f'{d}/file', 20_000)
    data = read(f'{d}/file')
    return [len(data), data[12_388:] == bytes(20_000 - 12_388)]


@behaviour('truncate-directory', 'truncate a directory')
def _(d):
    return attempt(lambda: os.truncate(d, 0))


@behaviour('truncate-negative', 'truncate to a negative length')
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: os.truncate(f'{d}/a', -1))


@behaviour('truncate-too-long', 'truncate to 2^62 bytes')
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: os.truncate(f'{d}/a', 1 << 62))


@behaviour('sparse-terabyte', 'a file of one terabyte without a block')
def _(d):
    write(f'{d}/a', b'')
    os.truncate(f'{d}/a', 1 << 40)
    found = os.stat(f'{d}/a')
    return [found.st_size, found.st_blocks]


@behaviour('seek-hole', 'SEEK_HOLE and SEEK_DATA on a new file')
def _(d):
    fd = opened(f'{d}/a')
    os.pwrite(fd, b'x' * PAGE, 0)
    os.pwrite(fd, b'x' * PAGE, 1 << 20)
    return [os.lseek(fd, 0, os.SEEK_HOLE), os.lseek(fd, PAGE, os.SEEK_DATA)]


@behaviour('seek-data-end', 'SEEK_DATA past the last data, SEEK_HOLE past the end')
def _(d):
    fd = opened(f'{d}/a')
    os.pwrite(fd, b'x', 0)
    os.ftruncate(fd, 1 << 20)
    return [
        attempt(lambda: os.lseek(fd, 1 << 19, os.SEEK_DATA)),
        attempt(lambda: os.lseek(fd, 1 << 21, os.SEEK_HOLE)),
    ]


@behaviour('seek-hole-lower', 'SEEK_HOLE and SEEK_DATA on a sparse file of the image', lower=True)
def _(d):
    fd = os.open(f'{d}/sparse', os.O_RDONLY)
    return [os.lseek(fd, 0, os.SEEK_HOLE), os.lseek(fd, 0, os.SEEK_DATA)]


@behaviour('sparse-lower-blocks', 'blocks of a sparse file of the image', lower=True)
def _(d):
    return os.stat(f'{d}/sparse').st_blocks


@behaviour('sparse-lower-written', 'a sparse file of the image stays sparse when it is written', lower=True)
def _(d):
    write(f'{d}/sparse', b'start', os.O_WRONLY)
    data = read(f'{d}/sparse')
    flush(d)
    return [len(data), data[:5], data[-3:], os.stat(f'{d}/sparse').st_blocks < 64]


@behaviour('punch', 'a punched hole is zeros and frees blocks')
def _(d):
    fd = opened(f'{d}/a')
    os.write(fd, b'x' * 16 * PAGE)
    os.fsync(fd)
    before = os.fstat(fd).st_blocks
    fallocate(fd, PUNCH | KEEP_SIZE, PAGE, 8 * PAGE)
    os.fsync(fd)
    return [os.pread(fd, 1, PAGE), os.fstat(fd).st_size, before - os.fstat(fd).st_blocks]


@behaviour('punch-odd', 'a hole that ends within pages')
def _(d):
    fd = opened(f'{d}/a')
    os.write(fd, b'x' * 4 * PAGE)
    fallocate(fd, PUNCH | KEEP_SIZE, 100, 2 * PAGE)
    return os.pread(fd, 4 * PAGE, 0).count(b'\0')


@behaviour('punch-lower', 'a hole in a file of the image', lower=True)
def _(d):
    fd = os.open(f'{d}/file', os.O_RDWR)
    fallocate(fd, PUNCH | KEEP_SIZE, 0, PAGE)
    return [os.pread(fd, PAGE, 0) == bytes(PAGE), os.fstat(fd).st_size]


@behaviour('fallocate', 'fallocate makes a file longer')
def _(d):
    fd = opened(f'{d}/a')
    fallocate(fd, 0, 0, 1 << 20)
    found = os.fstat(fd)
    return [found.st_size, found.st_blocks]


@behaviour('fallocate-keep-size', 'fallocate with KEEP_SIZE')
def _(d):
    fd = opened(f'{d}/a')
    fallocate(fd, KEEP_SIZE, 0, 1 << 20)
    found = os.fstat(fd)
    return [found.st_size, found.st_blocks]


@behaviour('fallocate-zero', 'FALLOC_FL_ZERO_RANGE')
def _(d):
    fd = opened(f'{d}/a')
    os.write(fd, b'x' * 4 * PAGE)
    fallocate(fd, ZERO, PAGE, PAGE)
    return os.pread(fd, 4 * PAGE, 0).count(b'\0')


@behaviour('fallocate-collapse', 'FALLOC_FL_COLLAPSE_RANGE')
def _(d):
    fd = opened(f'{d}/a')
    os.write(fd, b'a' * PAGE + b'b' * PAGE)
    fallocate(fd, COLLAPSE, 0, PAGE)
    return [os.fstat(fd).st_size, os.pread(fd, 1, 0)]


@behaviour('fallocate-insert', 'FALLOC_FL_INSERT_RANGE')
def _(d):
    fd = opened(f'{d}/a')
    os.write(fd, b'a' * PAGE + b'b' * PAGE)
    fallocate(fd, INSERT, PAGE, PAGE)
    return [os.fstat(fd).st_size, os.pread(fd, 1, 2 * PAGE)]


@behaviour('fallocate-no-room', 'fallocate of more than there is')
def _(d):
    fd = opened(f'{d}/a')
    got = attempt(lambda: fallocate(fd, 0, 0, 1 << 40))
    os.unlink(f'{d}/a')
    return got


@behaviour('no-space', 'a full filesystem: ENOSPC, and room again after unlink')
def _(d):
    fd = opened(f'{d}/a')
    block = b'x' * (1 << 20)
    full = attempt(lambda: [os.write(fd, block) for _ in range(4096)])
    partial = os.fstat(fd).st_size > 0
    os.close(fd)
    os.unlink(f'{d}/a')
    flush(d)
    return [full, partial, attempt(lambda: write(f'{d}/b', block))]


@behaviour('no-space-copy-up', 'a full filesystem: a file of the image stays as it was', lower=True)
def _(d):
    fd = opened(f'{d}/fill')
    block = b'x' * (1 << 20)
    attempt(lambda: [os.write(fd, block) for _ in range(4096)])
    attempt(lambda: [os.write(fd, block[:PAGE]) for _ in range(4096)])
    before = read(f'{d}/file')
    got = attempt(lambda: os.open(f'{d}/file', os.O_WRONLY))
    same = read(f'{d}/file') == before
    os.close(fd)
    os.unlink(f'{d}/fill')
    return [got, same]


@behaviour('statfs', 'statfs: block size, longest name, whether it says how much is free', lower=True)
def _(d):
    found = os.statvfs(d)
    return [found.f_bsize, found.f_namemax, found.f_bfree > 0, found.f_flag & os.ST_RDONLY]


@behaviour('statfs-type', 'statfs: the type of the filesystem')
def _(d):
    import ctypes
    buffer = ctypes.create_string_buffer(120)
    check(libc.statfs(os.fsencode(d), buffer))
    return hex(int.from_bytes(buffer.raw[:8], 'little'))


@behaviour('fsync', 'fsync, fdatasync, fsync of a directory')
def _(d):
    fd = opened(f'{d}/a')
    os.write(fd, b'x')
    os.fsync(fd)
    os.fdatasync(fd)
    return attempt(lambda: os.fsync(os.open(d, os.O_RDONLY)))


@behaviour('fsync-lower', 'fsync of a file of the image', lower=True)
def _(d):
    return attempt(lambda: os.fsync(os.open(f'{d}/file', os.O_RDONLY)))


@behaviour('syncfs', 'syncfs')
def _(d):
    write(f'{d}/a', b'x')
    return attempt(lambda: check(libc.syncfs(os.open(d, os.O_RDONLY))))


@behaviour('sync-file-range', 'sync_file_range')
def _(d):
    import ctypes
    fd = opened(f'{d}/a')
    os.write(fd, b'x' * PAGE)
    return attempt(
        lambda: check(libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(PAGE), 7))
    )


@behaviour('fadvise', 'posix_fadvise DONTNEED, and the bytes are still right', lower=True)
def _(d):
    fd = os.open(f'{d}/file', os.O_RDONLY)
    before = os.pread(fd, 9999, 0)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return os.pread(fd, 9999, 0) == before


@behaviour('read-past-end', 'read at and past the end', lower=True)
def _(d):
    fd = os.open(f'{d}/file', os.O_RDONLY)
    return [len(os.pread(fd, 100, 12_380)), os.pread(fd, 1, 12_388), os.pread(fd, 1, 1 << 40)]
