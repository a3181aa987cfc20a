"""Every counter and histogram, named once. docs/metrics.md has a line for each."""

from prometheus_client import Counter, Gauge, Histogram

_FIRST_AUDIO_S = (0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
_RTF = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2)

REQUESTS = Counter("voicesvc_requests", "HTTP requests answered", ["route", "status"])
REFUSED = Counter("voicesvc_refused", "requests refused, by problem type", ["problem"])
DENIED = Counter("voicesvc_denied", "who was not let in, by reason", ["reason"])
PROVIDER = Counter("voicesvc_provider_reads", "readings of an OpenID provider's keys", ["outcome"])
TAKES = Counter("voicesvc_takes", "takes by how they ended", ["actor", "outcome"])
ACTIVE = Gauge("voicesvc_active_streams", "takes being made now")
RETENTION = Gauge(
    "voicesvc_retention_takes", "takes whose grant says that they are removed soon", ["within"]
)
QUEUE = Gauge("voicesvc_queue", "streams that wait for their first turn", ["class"])
QUEUE_WAIT = Histogram(
    "voicesvc_queue_wait_seconds",
    "a stream let in until its first turn begins",
    ["class"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CELLS_AT_ONCE = Counter(
    "voicesvc_cells_at_once", "cells that were computed at once with those of other streams"
)
NOT_ADMITTED = Counter("voicesvc_not_admitted", "streams there was no time for", ["reason"])
UNDERRUNS = Counter(
    "voicesvc_underruns", "chunks that came after their listener ran dry", ["class"]
)
UNDERRUN_S = Counter("voicesvc_underrun_seconds", "how long listeners were dry", ["class"])
FIRST_AUDIO = Histogram(
    "voicesvc_first_audio_seconds",
    "request received until its first audio is ready to send",
    ["actor", "format"],
    buckets=_FIRST_AUDIO_S,
)
COMPUTE = Histogram(
    "voicesvc_compute_seconds_per_audio_second",
    "latency per generated second: compute time of a whole take over its duration",
    ["actor"],
    buckets=_RTF,
)
AUDIO = Counter("voicesvc_audio_seconds", "seconds of audio made", ["actor", "format", "class"])
STAMPS = Counter("voicesvc_stamps", "answers of a time-stamp authority", ["outcome"])
VOICE_LOAD = Histogram(
    "voicesvc_voice_load_seconds",
    "time to verify, load and warm a voice",
    ["actor"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
VOICES_LOADED = Gauge("voicesvc_voices_loaded", "voices on the device", ["device"])
VOICE_BYTES = Gauge(
    "voicesvc_voice_bytes", "bytes of device memory that loaded voices hold", ["device"]
)
DEVICE_UP = Gauge("voicesvc_device_up", "1 while the program of one of several runs", ["device"])
DEVICE_RESTARTS = Counter(
    "voicesvc_device_restarts", "times that the program of a device was started anew", ["device"]
)
VERIFIED = Counter("voicesvc_verified", "recordings that were verified", ["found"])
LOGGED = Counter("voicesvc_logged", "lines logged, warnings and worse", ["level", "logger"])
VOICE_HOST_BYTES = Gauge(
    "voicesvc_voice_host_bytes", "bytes of host memory that voices off the device are kept in"
)
VOICE_LEASES = Counter(
    "voicesvc_voice_leases", "voices asked for, by where they lay: device, host or disk", ["found"]
)
VOICE_LOADS = Counter("voicesvc_voice_loads", "loads begun, from host or disk", ["source"])
VOICE_EVICTIONS = Counter(
    "voicesvc_voice_evictions", "voices that left to make room, off device or host", ["tier"]
)
DEVICE_MEMORY = Gauge(
    "voicesvc_device_memory_bytes",
    "memory of the GPU: total, free, reserved by torch here",
    ["part"],
)
