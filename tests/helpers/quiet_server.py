"""A server for tests that says nothing of clients that were killed: what it prints would stand in the output of another test."""

from http.server import ThreadingHTTPServer


class QuietServer(ThreadingHTTPServer):
    """Answers each request in a thread that ends with the process."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that went away in the middle."""

    def end(self) -> None:
        """Listen no more: connections are refused. Only while it serves."""
        self.shutdown()
        self.server_close()
