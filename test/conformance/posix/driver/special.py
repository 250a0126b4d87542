"""Fifos, sockets and device nodes."""
import os
import socket
import stat

from case import attempt, behaviour, read


@behaviour('fifo', 'a fifo between two processes')
def _(d):
    os.mkfifo(f'{d}/a')
    pid = os.fork()
    if pid == 0:
        with open(f'{d}/a', 'wb') as fifo:
            fifo.write(b'through')
        os._exit(0)
    got = read(f'{d}/a')
    os.waitpid(pid, 0)
    return got


@behaviour('fifo-lower', 'a fifo of the image', lower=True)
def _(d):
    fd = os.open(f'{d}/fifo', os.O_RDWR | os.O_NONBLOCK)
    os.write(fd, b'through')
    return [os.read(fd, 9), stat.S_ISFIFO(os.stat(f'{d}/fifo').st_mode)]


@behaviour('socket', 'a socket in the filesystem: bind, connect')
def _(d):
    os.chdir(d)
    server = socket.socket(socket.AF_UNIX)
    server.bind('s')
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect('s')
    client.send(b'through')
    return server.accept()[0].recv(9)


@behaviour('socket-renamed', 'a socket is reached under a new name')
def _(d):
    os.chdir(d)
    server = socket.socket(socket.AF_UNIX)
    server.bind('s')
    server.listen()
    os.rename('s', 't')
    client = socket.socket(socket.AF_UNIX)
    return [attempt(lambda: client.connect('t')), attempt(lambda: client.connect('s'))]


@behaviour('socket-bind-lower', 'bind on a name of the image', lower=True)
def _(d):
    os.chdir(d)
    return attempt(lambda: socket.socket(socket.AF_UNIX).bind('file'))


@behaviour('device-null', 'a device node for /dev/null can be made and opened')
def _(d):
    os.mknod(f'{d}/null', 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    found = os.stat(f'{d}/null').st_rdev
    return [os.major(found), os.minor(found), attempt(lambda: os.open(f'{d}/null', os.O_RDWR))]


@behaviour('device-block', 'a block device node')
def _(d):
    os.mknod(f'{d}/loop', 0o600 | stat.S_IFBLK, os.makedev(7, 99))
    return os.minor(os.stat(f'{d}/loop').st_rdev)


@behaviour('device-whiteout', 'a character device 0:0, which is what overlayfs uses as a whiteout')
def _(d):
    return attempt(lambda: os.mknod(f'{d}/w', 0o600 | stat.S_IFCHR, os.makedev(0, 0)))


@behaviour('mknod-file', 'mknod of a regular file')
def _(d):
    os.mknod(f'{d}/a', 0o600 | stat.S_IFREG)
    return stat.S_ISREG(os.stat(f'{d}/a').st_mode)
