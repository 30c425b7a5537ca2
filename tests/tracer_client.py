"""A gRPC client of the tracer in this process, for tests that attach hundreds of times."""

import importlib
import json
import subprocess
import sys

ANSWER_SECONDS = 120


def generate(buf, repository, folder):
    """Python code of the protos, to be imported from then on."""
    plugins = [{"protoc_builtin": "python", "out": "."}, {"local": "/usr/bin/grpc_python_plugin", "out": "."}]
    protos = repository / "proto"
    subprocess.run([buf, "generate", str(protos), "--template", json.dumps({"version": "v2", "plugins": plugins}),
                    "--path", str(protos / "flightrec/trace"), "--path", str(protos / "flightrec/capture"),
                    "-o", str(folder)], check=True)
    sys.path.insert(0, str(folder))


class TracerClient:
    """Attaches and detaches; `generate` comes first."""

    def __init__(self, address, control_token_file):
        grpc = importlib.import_module("grpc")
        self.error = grpc.RpcError
        self._messages = importlib.import_module("flightrec.capture.v1.capture_pb2")
        stubs = importlib.import_module("flightrec.capture.v1.capture_pb2_grpc")
        self._channel = grpc.insecure_channel(address)
        self._capture = stubs.CaptureServiceStub(self._channel)
        token = control_token_file.read_text(encoding="utf-8").split()[0]
        self._metadata = (("authorization", f"Bearer {token}"),)

    def attach(self, pid, *patterns, seconds=ANSWER_SECONDS):
        """The answer; `error` with what the tracer says."""
        return self.begin_attach(pid, *patterns, seconds=seconds).result()

    def begin_attach(self, pid, *patterns, seconds=ANSWER_SECONDS):
        """The answer to come; it can be cancelled."""
        request = self._messages.AttachRequest(pid=pid, probes={"patterns": patterns})
        return self._capture.Attach.future(request, metadata=self._metadata, timeout=seconds)

    def stop(self, recording):
        """The recording as it was sealed; nothing of the tracer is in the program any more."""
        request = self._messages.StopRecordingRequest(recording=recording.name)
        return self._capture.StopRecording(request, metadata=self._metadata, timeout=ANSWER_SECONDS).recording

    def captures(self):
        """What this tracer knows, newest first."""
        request = self._messages.ListCapturesRequest()
        return self._capture.ListCaptures(request, metadata=self._metadata, timeout=ANSWER_SECONDS).captures

    def close(self):
        self._channel.close()
