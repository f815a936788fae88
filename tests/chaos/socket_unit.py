"""Holds a gate's port as systemd does for a socket unit (sd_listen_fds(3)), and restarts the gate on SIGHUP.

Arguments: the port, and the gate's command.
"""

import os
import signal
import socket
import sys

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(4096)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM})


def start():
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGTERM})
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execvp(sys.argv[2], sys.argv[2:])
    return child


def stop(child):
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)


gate = start()
while signal.sigwait({signal.SIGHUP, signal.SIGTERM}) == signal.SIGHUP:
    stop(gate)
    gate = start()
stop(gate)
