"""Asks the gate without a pause until standard input closes, then prints what was answered as JSON.

Arguments: the port, and tokens. Each thread keeps the session of one token, and opens a new connection for every tenth
request, as nginx does now and then. An answer is right if it lets the request through as the same user.
"""

import collections
import http.client
import json
import sys
import threading

PORT, TOKENS = int(sys.argv[1]), sys.argv[2:]
over = threading.Event()
answers = collections.Counter()
lock = threading.Lock()


def ask(connection, cookie):
    headers = {
        "X-Original-URI": "/projects/",
        "X-Original-Method": "GET",
        "X-Original-Host": "label-studio.example.com",
        "X-Real-IP": "127.0.0.1",
        "Cookie": cookie,
    }
    connection.request("GET", "/auth/nginx", headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer


def visitor(number, token):
    cookie = own = f"ls_auth_token={token}"
    user, connection = None, None
    count = 0
    while not over.is_set():
        if connection is None or count % 10 == 0:
            if connection is not None:
                connection.close()
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
            fresh = True
        else:
            fresh = False
        count += 1
        try:
            answer = ask(connection, cookie)
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            connection = None
            # A server may close a connection that is kept alive at any time (RFC 9112, section 9.6): the client, here
            # nginx, sends the request again on another one. On a new connection it is a loss.
            closed = isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError))
            outcome = "closed between requests" if closed and not fresh else f"lost: {error!r}"
        else:
            found = answer.getheader("X-Gate-User-Id")
            session = answer.getheader("X-Gate-Cookie")
            # Without a token nobody asks who the user is, so it stays.
            if session:
                cookie = f"{own}; {session}"
            user = user or found
            right = answer.status == 200 and found and found == user
            outcome = "right" if right else f"wrong: {answer.status} {answer.getheader('X-Gate-Reason')} user {found}, not {user}"
        with lock:
            answers[outcome] += 1


threads = [threading.Thread(target=visitor, args=(n, token)) for n, token in enumerate(TOKENS)]
for thread in threads:
    thread.start()
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
print(json.dumps(answers))
