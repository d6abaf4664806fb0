"""What is around the phone: SMS that arrive, doors for SMS that leave, the platform's log, and a mail server."""

import email
import email.policy
import json
import socketserver
import threading
import time
import urllib.error
import urllib.request

# A home tells other nodes of new people once a minute, so a first message may take longer than that.
SOON_S = 100
# A second copy would come within this time.
SETTLE_S = 1


def eventually(what, look):
    """Waits until there is an answer."""
    end = time.monotonic() + SOON_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {SOON_S} s")


def lines(path):
    """The whole lines of a file of JSON lines."""
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []


def ask(url, body=None):
    """Status and JSON of a GET, or of a POST of JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        return answer.code, json.loads(answer.read() or b"null")


def forward(url, sender, sms, **more):
    """What a gateway client does with an SMS."""
    now = time.time_ns() // 1_000_000
    body = {"thread_id": 3, "address": sender, "date": now, "date_sent": now - 4_000, "read": 0, "type": 1}
    status, answer = ask(url, body | {"body": sms, "text": sms, "sub_id": 1, "tag": ""} | more)
    return status, answer.get("publisher_response") or answer.get("error")


class Inbox:
    """SMS that arrive at a phone. What was taken is not seen again."""

    def __init__(self, path, number):
        self.path, self.number = path, number
        self.seen = len(lines(path))

    def take(self, marker):
        """Waits for the next SMS that holds `marker`."""

        def look():
            all_lines = lines(self.path)
            for at in range(self.seen, len(all_lines)):
                row = all_lines[at]
                if row["to"] == self.number and marker in row["text"]:
                    self.seen = at + 1
                    return row["text"]
            return None

        return eventually(f"an SMS with {marker!r}", look)


class Platform:
    """Posts, as the platform wrote them down."""

    def __init__(self, path):
        self.path = path

    def posts(self, words):
        return [post for post in lines(self.path) if post["status"] == words]

    def check_once(self, *all_words):
        """Waits until each text is posted, then looks whether any is there twice."""
        for words in all_words:
            eventually(f"the post {words!r}", lambda: self.posts(words))
        time.sleep(SETTLE_S)
        counts = {words: len(self.posts(words)) for words in all_words}
        assert all(count == 1 for count in counts.values()), counts

    def check_never(self, *all_words):
        time.sleep(SETTLE_S)
        assert not any(self.posts(words) for words in all_words), all_words


class MailServer:
    """Takes every mail. Envelopes and letters are kept."""

    def __init__(self, port):
        self.mails = mails = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                to, say = [], lambda reply: self.wfile.write(reply + b"\r\n")
                say(b"220 here")
                for line in self.rfile:
                    verb = line[:4].upper()
                    if verb == b"RCPT":
                        to.append(line.split(b"<")[1].split(b">")[0].decode())
                    if verb == b"DATA":
                        say(b"354 go on")
                        rows = list(iter(self.rfile.readline, b".\r\n"))
                        raw = b"".join(row[1:] if row.startswith(b".") else row for row in rows)
                        mails.append((sorted(to), email.message_from_bytes(raw, policy=email.policy.default)))
                        to = []
                    if verb == b"RSET":
                        to = []
                    say(b"221 bye" if verb == b"QUIT" else b"250 yes")
                    if verb == b"QUIT":
                        return

        server = socketserver.ThreadingTCPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def about(self, subject):
        return [mail for mail in list(self.mails) if mail[1]["Subject"] == subject]

    def one(self, subject):
        eventually(f"the mail {subject!r}", lambda: self.about(subject))
        time.sleep(SETTLE_S)
        (mail,) = self.about(subject)
        return mail
