"""rename(2), renameat2(2), unlink(2), rmdir(2)."""
import os

from case import AT_FDCWD, attempt, behaviour, check, libc, read, rename2, write

NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4


@behaviour('rename-file', 'rename a new file')
def _(d):
    write(f'{d}/a', b'one')
    os.rename(f'{d}/a', f'{d}/b')
    return [sorted(os.listdir(d)), read(f'{d}/b')]


@behaviour('rename-over', 'rename over a file: the name is never missing, the old file is gone')
def _(d):
    write(f'{d}/a', b'new')
    write(f'{d}/b', b'old')
    os.rename(f'{d}/a', f'{d}/b')
    return [sorted(os.listdir(d)), read(f'{d}/b')]


@behaviour('rename-over-open', 'a descriptor of a replaced file goes on reading the old one')
def _(d):
    write(f'{d}/a', b'new')
    write(f'{d}/b', b'old')
    fd = os.open(f'{d}/b', os.O_RDONLY)
    os.rename(f'{d}/a', f'{d}/b')
    return [os.read(fd, 9), os.fstat(fd).st_nlink]


@behaviour('rename-lower-file', 'rename a file of the image', lower=True)
def _(d):
    os.rename(f'{d}/file', f'{d}/moved')
    return [os.path.exists(f'{d}/file'), len(read(f'{d}/moved'))]


@behaviour('rename-lower-over-lower', 'rename a file of the image over another', lower=True)
def _(d):
    os.rename(f'{d}/empty', f'{d}/file')
    return [os.path.exists(f'{d}/empty'), len(read(f'{d}/file'))]


@behaviour('rename-new-over-lower', 'rename a new file over one of the image', lower=True)
def _(d):
    write(f'{d}/new', b'new')
    os.rename(f'{d}/new', f'{d}/file')
    return read(f'{d}/file')


@behaviour('rename-lower-to-other-directory', 'rename a file of the image into a new directory', lower=True)
def _(d):
    os.mkdir(f'{d}/fresh')
    os.rename(f'{d}/dir/a', f'{d}/fresh/a')
    return [sorted(os.listdir(f'{d}/dir')), os.listdir(f'{d}/fresh')]


@behaviour('rename-directory', 'rename a new directory with entries')
def _(d):
    os.makedirs(f'{d}/a/sub')
    os.rename(f'{d}/a', f'{d}/b')
    return os.listdir(f'{d}/b')


@behaviour('rename-lower-directory', 'rename a directory of the image', lower=True)
def _(d):
    return attempt(lambda: os.rename(f'{d}/dir', f'{d}/moved'))


@behaviour('rename-merged-directory', 'rename a directory of the image that got a new entry', lower=True)
def _(d):
    write(f'{d}/dir/new', b'')
    return attempt(lambda: os.rename(f'{d}/dir', f'{d}/moved'))


@behaviour('rename-directory-over-empty', 'rename a directory over an empty one')
def _(d):
    os.makedirs(f'{d}/a/sub')
    os.mkdir(f'{d}/b')
    os.rename(f'{d}/a', f'{d}/b')
    return os.listdir(f'{d}/b')


@behaviour('rename-directory-over-lower-empty', 'rename a new directory over an empty one of the image', lower=True)
def _(d):
    os.makedirs(f'{d}/new/sub')
    os.rename(f'{d}/new', f'{d}/emptydir')
    return os.listdir(f'{d}/emptydir')


@behaviour('rename-directory-over-full', 'rename a directory over one with entries')
def _(d):
    os.mkdir(f'{d}/a')
    os.makedirs(f'{d}/b/sub')
    return attempt(lambda: os.rename(f'{d}/a', f'{d}/b'))


@behaviour('rename-file-over-directory', 'rename a file over a directory')
def _(d):
    write(f'{d}/a', b'')
    os.mkdir(f'{d}/b')
    return attempt(lambda: os.rename(f'{d}/a', f'{d}/b'))


@behaviour('rename-directory-over-file', 'rename a directory over a file')
def _(d):
    os.mkdir(f'{d}/a')
    write(f'{d}/b', b'')
    return attempt(lambda: os.rename(f'{d}/a', f'{d}/b'))


@behaviour('rename-into-itself', 'rename a directory into itself')
def _(d):
    os.mkdir(f'{d}/a')
    return attempt(lambda: os.rename(f'{d}/a', f'{d}/a/b'))


@behaviour('rename-same-inode', 'rename one hard link over another of the same file: nothing happens')
def _(d):
    write(f'{d}/a', b'')
    os.link(f'{d}/a', f'{d}/b')
    os.rename(f'{d}/a', f'{d}/b')
    return sorted(os.listdir(d))


@behaviour('rename-missing', 'rename what is not there')
def _(d):
    return attempt(lambda: os.rename(f'{d}/a', f'{d}/b'))


@behaviour('noreplace-existing', 'RENAME_NOREPLACE onto an existing name')
def _(d):
    write(f'{d}/a', b'')
    write(f'{d}/b', b'')
    return attempt(lambda: rename2(f'{d}/a', f'{d}/b', NOREPLACE))


@behaviour('noreplace-lower', 'RENAME_NOREPLACE onto a name of the image', lower=True)
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: rename2(f'{d}/a', f'{d}/file', NOREPLACE))


@behaviour('noreplace-removed-lower', 'RENAME_NOREPLACE onto a removed name of the image', lower=True)
def _(d):
    write(f'{d}/a', b'')
    os.unlink(f'{d}/file')
    return [attempt(lambda: rename2(f'{d}/a', f'{d}/file', NOREPLACE)), read(f'{d}/file')]


@behaviour('exchange', 'RENAME_EXCHANGE of two new files')
def _(d):
    write(f'{d}/a', b'A')
    write(f'{d}/b', b'B')
    rename2(f'{d}/a', f'{d}/b', EXCHANGE)
    return [read(f'{d}/a'), read(f'{d}/b')]


@behaviour('exchange-lower', 'RENAME_EXCHANGE of a new file with one of the image', lower=True)
def _(d):
    write(f'{d}/a', b'A')
    rename2(f'{d}/a', f'{d}/file', EXCHANGE)
    return [len(read(f'{d}/a')), read(f'{d}/file')]


@behaviour('exchange-file-directory', 'RENAME_EXCHANGE of a file with a directory')
def _(d):
    write(f'{d}/a', b'A')
    os.mkdir(f'{d}/b')
    rename2(f'{d}/a', f'{d}/b', EXCHANGE)
    return [os.path.isdir(f'{d}/a'), read(f'{d}/b')]


@behaviour('exchange-lower-directory', 'RENAME_EXCHANGE with a directory of the image', lower=True)
def _(d):
    os.mkdir(f'{d}/new')
    return attempt(lambda: rename2(f'{d}/new', f'{d}/dir', EXCHANGE))


@behaviour('rename-whiteout', 'RENAME_WHITEOUT')
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: rename2(f'{d}/a', f'{d}/b', WHITEOUT))


@behaviour('unlink-open', 'an unlinked file can be read and written through its descriptor')
def _(d):
    write(f'{d}/a', b'one')
    fd = os.open(f'{d}/a', os.O_RDWR)
    os.unlink(f'{d}/a')
    os.pwrite(fd, b'two', 3)
    return [os.pread(fd, 9, 0), os.fstat(fd).st_nlink, os.listdir(d)]


@behaviour('unlink-lower', 'unlink a file of the image, and make it anew', lower=True)
def _(d):
    os.unlink(f'{d}/file')
    gone = [os.path.exists(f'{d}/file'), 'file' in os.listdir(d)]
    write(f'{d}/file', b'new', os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    return [gone, read(f'{d}/file')]


@behaviour('unlink-lower-open', 'a descriptor of an unlinked file of the image goes on reading', lower=True)
def _(d):
    fd = os.open(f'{d}/file', os.O_RDONLY)
    os.unlink(f'{d}/file')
    return len(os.read(fd, 99_999))


@behaviour('unlink-directory', 'unlink a directory')
def _(d):
    os.mkdir(f'{d}/a')
    return attempt(lambda: os.unlink(f'{d}/a'))


@behaviour('rmdir-lower-full', 'rmdir a directory of the image that has entries', lower=True)
def _(d):
    return attempt(lambda: os.rmdir(f'{d}/dir'))


@behaviour('rmdir-lower-emptied', 'rmdir a directory of the image after its entries', lower=True)
def _(d):
    os.unlink(f'{d}/dir/sub/x')
    os.rmdir(f'{d}/dir/sub')
    for name in 'abc':
        os.unlink(f'{d}/dir/{name}')
    os.rmdir(f'{d}/dir')
    return os.path.exists(f'{d}/dir')


@behaviour('directory-made-anew', 'a directory of the image that was removed and made anew is empty', lower=True)
def _(d):
    os.unlink(f'{d}/dir/sub/x')
    os.rmdir(f'{d}/dir/sub')
    os.mkdir(f'{d}/dir/sub')
    return os.listdir(f'{d}/dir/sub')


@behaviour('file-becomes-directory', 'a directory in the place of a removed file of the image', lower=True)
def _(d):
    os.unlink(f'{d}/file')
    os.mkdir(f'{d}/file')
    return os.listdir(f'{d}/file')


@behaviour('rmdir-current', 'rmdir of the working directory, then create in it')
def _(d):
    os.mkdir(f'{d}/a')
    os.chdir(f'{d}/a')
    os.rmdir('../a')
    return attempt(lambda: write('x', b''))


@behaviour('mkdir-over-lower', 'mkdir on a name of the image', lower=True)
def _(d):
    return attempt(lambda: os.mkdir(f'{d}/file'))


@behaviour('unlinkat-removedir', 'unlinkat with AT_REMOVEDIR on a file')
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: check(libc.unlinkat(AT_FDCWD, os.fsencode(f'{d}/a'), 0x200)))
