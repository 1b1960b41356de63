"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port, ended with them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

PASSWORD = "p@ss/w:rd%"
QUOTED = "p%40ss%2Fw%3Ard%25"


def binaries():
    """The folder of the server's programs; None: there is none here."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


def need_postgres():
    """Skip the test where there is no server or no driver."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    if binaries() is None:
        pytest.skip("no PostgreSQL server here: make postgres")


def _place():
    """In memory where there is room: every database of a test is some three hundred files."""
    memory = Path("/dev/shm")
    is_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 2**30
    return memory if is_room else None


class Server:
    """A server; the superuser refuses to run it, so it has a user of its own where we are that."""

    def __init__(self):
        self._bin, self._process = binaries(), None
        self.folder = Path(tempfile.mkdtemp(prefix="paretonas-pg-", dir=_place()))
        self._log = self.folder / "log"
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, pwd.getpwnam(self.user).pw_gid)
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        password = self.folder / "password"
        password.write_text(PASSWORD)
        words = ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--username=me"]
        data = str(self.folder / "data")
        self._call([self._bin / "initdb", "-D", data, *words, f"--pwfile={password}"])
        self.start()

    def url(self, database="postgres", user=f"me:{QUOTED}"):
        """Of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{quote(database)}"

    def start(self):
        """Also after a kill, of which processes may still be about to end."""
        settings = {"listen_addresses": "127.0.0.1", "fsync": "off", "max_connections": "60", "shared_buffers": "16MB"}
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        command = [self._bin / "postgres", "-D", self.folder / "data", "-p", self.port, "-k", self.folder, *words]
        for _ in range(100):
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(self._as_user(command), stdout=log, stderr=log, start_new_session=True)
            while self._process.poll() is None:
                if self._answers():
                    return
                time.sleep(0.02)
            time.sleep(0.1)
        raise AssertionError(self._log.read_text()[-2000:])

    def kill(self):
        """As the machine would that runs out of memory."""
        os.kill(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        self._process.wait()

    def stop(self):
        """For good."""
        self._process.send_signal(signal.SIGQUIT)  # at once
        self._process.wait()
        shutil.rmtree(self.folder)

    def execute(self, *statements, database="postgres"):
        """Rows of the last one."""
        import psycopg

        url = self.url(database)
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, name):
        """Its URL."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
        return self.url(name)

    def _answers(self):
        import psycopg

        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def _as_user(self, command):
        become = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]
        return [*(become if os.geteuid() == 0 else []), *map(str, command)]

    def _call(self, command):
        subprocess.run(self._as_user(command), check=True, capture_output=True, cwd=self.folder)
