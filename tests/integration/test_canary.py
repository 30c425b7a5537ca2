"""`flightrec canary` says nothing of a good backend and finds what was done to a bad one."""

import os
import shutil
import signal
import socket
import subprocess
import urllib.request

import services_under_test


def free_address():
    return f"127.0.0.1:{services_under_test.free_port()}"


def start_backend(repository, store, address):
    command = [repository / "bazel-bin/services/backend/backend", f"--store={store}", f"--listen={address}",
               "--metrics_listen=off"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    host, port = address.rsplit(":", 1)
    while True:
        assert process.poll() is None
        try:
            socket.create_connection((host, int(port))).close()
            return process
        except ConnectionRefusedError:
            continue


def start_canary(repository, store, address, *arguments):
    command = [repository / "bazel-bin/services/flightrec/flightrec", "canary", f"--store={store}",
               f"--backend={address}", *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "NO_PROXY": "127.0.0.1"})


def test_good_backend__rounds_end__then_exit_code_0_and_a_line_each(repository, tmp_path):
    command = [repository / "bazel-bin/services/flightrec/flightrec", "canary", f"--store={tmp_path / 'store'}",
               "--limit=2"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 2 and all(line.endswith("  ok") for line in lines), ran.stdout


def test_backend_ends_and_comes_back__without_its_store__then_the_canary_names_what_is_missing(repository, tmp_path):
    address, metrics = free_address(), free_address()
    backend = start_backend(repository, tmp_path / "store", address)
    canary = start_canary(repository, tmp_path / "unused", address, f"--metrics_listen={metrics}")
    try:
        assert canary.stdout.readline().endswith("  ok\n")
        backend.send_signal(signal.SIGKILL)
        backend.wait()
        while canary.stdout.readline().endswith("  ok\n"):
            pass
        # Nothing was lost so far: it only cannot be reached.
        backend = start_backend(repository, tmp_path / "store", address)
        while not canary.stdout.readline().endswith("  ok\n"):
            pass
        backend.send_signal(signal.SIGKILL)
        backend.wait()
        shutil.rmtree(tmp_path / "store")
        backend = start_backend(repository, tmp_path / "store", address)
        while "DATA_LOSS" not in canary.stderr.readline():
            pass
        with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10) as page:
            text = page.read().decode()
        assert 'flightrec_canary_failed_rounds_total{status="DATA_LOSS"}' in text
        canary.send_signal(signal.SIGTERM)
        assert canary.wait(30) == 1
    finally:
        canary.kill()
        canary.communicate()
        backend.kill()
        backend.wait()
