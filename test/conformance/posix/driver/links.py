"""Hard and symbolic links, names."""
import os

from case import attempt, behaviour, in_child, read, write


@behaviour('link', 'a hard link: same inode, nlink 2, one content')
def _(d):
    write(f'{d}/a', b'')
    os.link(f'{d}/a', f'{d}/b')
    write(f'{d}/b', b'new')
    return [os.stat(f'{d}/a').st_nlink, os.path.samefile(f'{d}/a', f'{d}/b'), read(f'{d}/a')]


@behaviour('link-lower', 'a hard link to a file of the image', lower=True)
def _(d):
    os.link(f'{d}/file', f'{d}/new')
    return [os.stat(f'{d}/new').st_nlink, os.path.samefile(f'{d}/file', f'{d}/new')]


@behaviour('links-of-lower', 'hard links of the image are one file', lower=True)
def _(d):
    return [os.path.samefile(f'{d}/hard1', f'{d}/hard2'), os.stat(f'{d}/hard1').st_nlink]


@behaviour('links-of-lower-written', 'writing one of two hard links of the image: the other keeps the old bytes', lower=True)
def _(d):
    write(f'{d}/hard1', b'new', os.O_WRONLY)
    return [read(f'{d}/hard1')[:3], read(f'{d}/hard2')[:3] == b'new']


@behaviour('link-directory', 'a hard link to a directory')
def _(d):
    os.mkdir(f'{d}/a')
    return attempt(lambda: os.link(f'{d}/a', f'{d}/b'))


@behaviour('link-symlink', 'a hard link to a symbolic link of the image', lower=True)
def _(d):
    os.link(f'{d}/link', f'{d}/second', follow_symlinks=False)
    return os.readlink(f'{d}/second')


@behaviour('link-existing', 'a hard link on an existing name', lower=True)
def _(d):
    write(f'{d}/a', b'')
    return attempt(lambda: os.link(f'{d}/a', f'{d}/file'))


@behaviour('link-many', 'a thousand hard links')
def _(d):
    write(f'{d}/a', b'')
    for i in range(1000):
        os.link(f'{d}/a', f'{d}/l{i}')
    return os.stat(f'{d}/a').st_nlink


@behaviour('symlink-loop', 'a loop of symbolic links')
def _(d):
    os.symlink('b', f'{d}/a')
    os.symlink('a', f'{d}/b')
    return attempt(lambda: os.stat(f'{d}/a'))


@behaviour('symlink-chain', '39 links after another are followed, 41 are not')
def _(d):
    write(f'{d}/l0', b'')
    for i in range(1, 42):
        os.symlink(f'l{i - 1}', f'{d}/l{i}')
    return [attempt(lambda: os.stat(f'{d}/l39')), attempt(lambda: os.stat(f'{d}/l41'))]


@behaviour('symlink-4095', 'a target of 4,095 bytes, and one byte more')
def _(d):
    return [
        attempt(lambda: os.symlink('x' * 4095, f'{d}/a')),
        attempt(lambda: os.symlink('x' * 4096, f'{d}/b')),
    ]


@behaviour('symlink-lower', 'a symbolic link of the image: target, size, and following it', lower=True)
def _(d):
    found = os.lstat(f'{d}/link')
    return [os.readlink(f'{d}/link'), found.st_size, os.stat(f'{d}/link').st_size]


@behaviour('name-255', 'a name of 255 bytes, and of 256')
def _(d):
    return [
        attempt(lambda: write(f'{d}/{"n" * 255}', b'')),
        attempt(lambda: write(f'{d}/{"n" * 256}', b'')),
    ]


@behaviour('name-bytes', 'names that are no text')
def _(d):
    for name in (b'\xff\xfe', b' ', b'a\nb', b'-rf', b'\x01'):
        os.close(os.open(os.fsencode(d) + b'/' + name, os.O_CREAT | os.O_WRONLY))
    return sorted(os.listdir(os.fsencode(d)))


@behaviour('name-case', 'upper and lower case are different names')
def _(d):
    write(f'{d}/Name', b'')
    write(f'{d}/name', b'')
    return len(os.listdir(d))


@behaviour('path-4096', 'a path of more than 4,095 bytes')
def _(d):
    return attempt(lambda: os.stat(f'{d}/' + 'x/' * 2048))


@behaviour('deep', 'three hundred directories in each other')
def _(d):
    def descend():
        os.chdir(d)
        for _ in range(300):
            os.mkdir('deeper')
            os.chdir('deeper')
        write('end', b'end')
        return 0 if read('end') == b'end' else 1

    return in_child(descend)


@behaviour('whiteout-name', 'a file whose name begins like a whiteout of a layer')
def _(d):
    write(f'{d}/.wh.a', b'x')
    return [os.listdir(d), read(f'{d}/.wh.a')]


@behaviour('trailing-slash', 'a file named with a slash at the end', lower=True)
def _(d):
    return attempt(lambda: os.stat(f'{d}/file/'))
