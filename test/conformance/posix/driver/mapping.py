"""mmap(2) against read(2), write(2) and truncate(2)."""
import mmap
import os

from case import behaviour, in_child, read, write

PAGE = 4096


@behaviour('mmap-shared-to-read', 'a store to a shared mapping is seen by read')
def _(d):
    write(f'{d}/a', bytes(PAGE))
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, PAGE)
    memory[100:105] = b'store'
    return os.pread(fd, 5, 100)


@behaviour('mmap-write-to-shared', 'a write is seen by a shared mapping')
def _(d):
    write(f'{d}/a', bytes(PAGE))
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, PAGE)
    os.pwrite(fd, b'write', 100)
    return memory[100:105]


@behaviour('mmap-private', 'a store to a private mapping is seen by nobody else')
def _(d):
    write(f'{d}/a', bytes(PAGE))
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, PAGE, mmap.MAP_PRIVATE)
    memory[0:5] = b'store'
    return [memory[0:5], os.pread(fd, 5, 0)]


@behaviour('mmap-msync', 'msync, and a second open sees the store')
def _(d):
    write(f'{d}/a', bytes(2 * PAGE))
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, 2 * PAGE)
    memory[PAGE:PAGE + 3] = b'end'
    memory.flush()
    return read(f'{d}/a')[PAGE:PAGE + 3]


@behaviour('mmap-two-processes', 'a store is seen through the mapping of another process')
def _(d):
    write(f'{d}/a', bytes(PAGE))

    def store():
        other = mmap.mmap(os.open(f'{d}/a', os.O_RDWR), PAGE)
        other[0:5] = b'child'

    memory = mmap.mmap(os.open(f'{d}/a', os.O_RDWR), PAGE)
    in_child(store)
    return memory[0:5]


@behaviour('mmap-truncated', 'a page of a shared mapping that was cut off: SIGBUS')
def _(d):
    write(f'{d}/a', bytes(2 * PAGE))
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, 2 * PAGE)

    def touch():
        os.ftruncate(fd, PAGE)
        return memory[PAGE + 1]

    return in_child(touch)


@behaviour('mmap-truncated-private', 'a page of a private mapping that was cut off: SIGBUS')
def _(d):
    write(f'{d}/a', bytes(2 * PAGE))
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, 2 * PAGE, mmap.MAP_PRIVATE)

    def touch():
        os.ftruncate(fd, PAGE)
        return memory[PAGE + 1]

    return in_child(touch)


@behaviour('mmap-tail', 'the rest of the last page is zero, and is not written')
def _(d):
    write(f'{d}/a', b'x' * 100)
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, 100)
    tail = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    os.ftruncate(fd, 200)
    return [memory[99:100], len(tail), os.pread(fd, 3, 100)]


@behaviour('mmap-extended', 'a page beyond the end can be read once the file is longer')
def _(d):
    write(f'{d}/a', bytes(2 * PAGE))
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, 2 * PAGE)
    os.ftruncate(fd, PAGE)
    os.ftruncate(fd, 2 * PAGE)
    memory[PAGE] = 7
    return os.pread(fd, 1, PAGE)


@behaviour('mmap-lower-read', 'a file of the image, mapped', lower=True)
def _(d):
    memory = mmap.mmap(os.open(f'{d}/file', os.O_RDONLY), 0, prot=mmap.PROT_READ)
    return memory[:] == read(f'{d}/file')


@behaviour('mmap-lower-shared-write', 'a store to a file of the image, opened for writing', lower=True)
def _(d):
    memory = mmap.mmap(os.open(f'{d}/file', os.O_RDWR), 0)
    memory[0:5] = b'store'
    return read(f'{d}/file')[:5]


@behaviour('mmap-lower-stale', 'a mapping made before a file of the image was written keeps the old bytes', lower=True)
def _(d):
    memory = mmap.mmap(os.open(f'{d}/file', os.O_RDONLY), 0, prot=mmap.PROT_READ)
    before = memory[0:3]
    write(f'{d}/file', b'new', os.O_WRONLY)
    return [memory[0:3] == before, read(f'{d}/file')[:3]]


@behaviour('mmap-lower-private-write', 'a private store to a file of the image', lower=True)
def _(d):
    memory = mmap.mmap(os.open(f'{d}/file', os.O_RDONLY), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    memory[0:5] = b'store'
    return [memory[0:5], read(f'{d}/file')[:5] == b'store']


@behaviour('mmap-execute', 'PROT_EXEC on a file of the image', lower=True)
def _(d):
    mmap.mmap(os.open(f'{d}/file', os.O_RDONLY), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
    return 'ok'


@behaviour('mmap-punched', 'a hole punched under a mapping is zeros in it')
def _(d):
    from case import fallocate
    write(f'{d}/a', b'x' * 2 * PAGE)
    fd = os.open(f'{d}/a', os.O_RDWR)
    memory = mmap.mmap(fd, 2 * PAGE)
    memory[0] = 1
    fallocate(fd, 3, 0, PAGE)
    return [memory[0], memory[PAGE:PAGE + 1]]
