"""readdir(3) while things change, and inotify(7)."""
import ctypes
import os
import struct

from case import attempt, behaviour, check, libc, write

MODIFY, ATTRIB, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
OPEN = 0x20
NAMES = {
    MODIFY: 'modify',
    ATTRIB: 'attrib',
    MOVED_FROM: 'from',
    MOVED_TO: 'to',
    CREATE: 'create',
    DELETE: 'delete',
}


def watched(path, act):
    """Names of the events on `path` while `act` runs, in order and without repetitions."""
    fd = check(libc.inotify_init1(os.O_NONBLOCK))
    check(libc.inotify_add_watch(fd, os.fsencode(path), ctypes.c_uint32(sum(NAMES))))
    act()
    events = []
    while True:
        try:
            data = os.read(fd, 4096)
        except BlockingIOError:
            return events
        while data:
            _, mask, _, length = struct.unpack('iIII', data[:16])
            name = '+'.join(text for bit, text in NAMES.items() if mask & bit)
            if events[-1:] != [name]:
                events.append(name)
            data = data[16 + length:]


@behaviour('readdir-merged', 'a directory of the image with one entry more and one less', lower=True)
def _(d):
    write(f'{d}/dir/new', b'')
    os.unlink(f'{d}/dir/a')
    return sorted(os.listdir(f'{d}/dir'))


@behaviour('readdir-types', 'types of entries', lower=True)
def _(d):
    return sorted((e.name, e.is_dir(follow_symlinks=False), e.is_symlink()) for e in os.scandir(d))


@behaviour('readdir-removing', '2,000 entries, each removed as soon as it is seen: each seen once')
def _(d):
    for i in range(2000):
        os.close(os.open(f'{d}/{i}', os.O_CREAT | os.O_WRONLY))
    seen = 0
    for entry in os.scandir(d):
        os.unlink(entry.path)
        seen += 1
    return [seen, len(os.listdir(d))]


@behaviour('readdir-adding', 'entries that were there before are seen once while others come')
def _(d):
    for i in range(500):
        os.close(os.open(f'{d}/old{i}', os.O_CREAT | os.O_WRONLY))
    seen = []
    for entry in os.scandir(d):
        if entry.name.startswith('old'):
            seen.append(entry.name)
            os.close(os.open(f'{d}/new-{entry.name}', os.O_CREAT | os.O_WRONLY))
    return [len(seen), len(set(seen))]


@behaviour('readdir-removing-lower', 'a directory of the image, emptied while it is read', lower=True)
def _(d):
    seen = []
    for entry in os.scandir(f'{d}/dir'):
        seen.append(entry.name)
        if entry.name != 'sub':
            os.unlink(entry.path)
    return [sorted(seen), os.listdir(f'{d}/dir')]


@behaviour('readdir-rewind', 'a directory read again through the same descriptor shows what came')
def _(d):
    fd = os.open(d, os.O_RDONLY)
    before = os.listdir(fd)
    write(f'{d}/a', b'')
    return [before, os.listdir(fd)]


@behaviour('readdir-5000', 'a directory with 5,000 new entries')
def _(d):
    for i in range(5000):
        os.close(os.open(f'{d}/{i}', os.O_CREAT | os.O_WRONLY))
    return len(set(os.listdir(d)))


@behaviour('directory-nlink', 'the link count of a directory counts subdirectories')
def _(d):
    os.mkdir(f'{d}/a')
    os.mkdir(f'{d}/a/b')
    return os.stat(f'{d}/a').st_nlink


@behaviour('directory-nlink-lower', 'the link count of a directory of the image', lower=True)
def _(d):
    return os.stat(f'{d}/dir').st_nlink


@behaviour('inotify-directory', 'inotify of a new directory: create, modify, move, delete')
def _(d):
    def act():
        write(f'{d}/a', b'x')
        os.rename(f'{d}/a', f'{d}/b')
        os.unlink(f'{d}/b')

    return watched(d, act)


@behaviour('inotify-lower-directory', 'inotify of a directory of the image', lower=True)
def _(d):
    def act():
        write(f'{d}/dir/new', b'x')
        os.unlink(f'{d}/dir/new')
        os.unlink(f'{d}/dir/a')

    return watched(f'{d}/dir', act)


@behaviour('inotify-file', 'inotify of a new file: modify, attrib')
def _(d):
    write(f'{d}/a', b'')

    def act():
        write(f'{d}/a', b'x', os.O_WRONLY)
        os.chmod(f'{d}/a', 0o600)

    return watched(f'{d}/a', act)


@behaviour('inotify-lower-file', 'inotify of a file of the image that is written', lower=True)
def _(d):
    return watched(f'{d}/file', lambda: write(f'{d}/file', b'x', os.O_WRONLY))


@behaviour('handle', 'name_to_handle_at on a file of the image', lower=True)
def _(d):
    handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
    mount = ctypes.c_int()
    return attempt(
        lambda: check(
            libc.name_to_handle_at(-100, os.fsencode(f'{d}/file'), handle, ctypes.byref(mount), 0)
        )
    )
