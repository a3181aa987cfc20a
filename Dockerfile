# syntax=docker/dockerfile:1
#
#   docker build -t voicesvc .
#   docker run --name voicesvc --gpus all --read-only --tmpfs /tmp -v voicesvc:/data -p 8080:8080 voicesvc
#   docker exec voicesvc voicesvc key new me --scope admin
#
# torch's wheels bring CUDA's libraries with them (cuBLAS, cuDNN, NCCL …), so the "base" flavour is
# enough: it has what the NVIDIA container toolkit reads (NVIDIA_REQUIRE_CUDA refuses a driver that
# is too old with a clear sentence) and no second copy of those libraries, which "runtime" would add.
# Without a GPU the same image serves on the CPU.

FROM nvidia/cuda:13.0.1-base-ubuntu24.04 AS python
# Ubuntu takes a version out of its archive when it fixes it, so a pinned one would break this build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/opt/voicesvc \
    UV_PYTHON=/usr/bin/python3 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
# Dependencies first: they change less often than the code, and weigh gigabytes.
COPY pyproject.toml uv.lock ./
COPY espeak-words/pyproject.toml espeak-words/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-workspace
COPY LICENSE README.md ./
COPY espeak-words espeak-words
COPY voicesvc voicesvc
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable

FROM python
LABEL org.opencontainers.image.title="voicesvc" \
      org.opencontainers.image.description="Licensed actors' voices over HTTP, streamed" \
      org.opencontainers.image.licenses="Apache-2.0"
# The phoneme program is GPL-3.0-or-later and goes along as source, with its licence.
COPY espeak-words /usr/share/doc/espeak-words
COPY LICENSE /usr/share/doc/voicesvc/LICENSE
COPY --from=build /opt/voicesvc /opt/voicesvc
COPY models /models
RUN install -d -o 10001 -g 10001 -m 0750 /data
# Everything that is written lies under /data; libraries that insist on a cache are sent there too.
# LOGNAME, because torch asks for the name of a user who has none.
ENV PATH=/opt/voicesvc/bin:$PATH \
    HOME=/data \
    LOGNAME=voicesvc \
    MPLCONFIGDIR=/data/cache/matplotlib \
    NUMBA_CACHE_DIR=/data/cache/numba \
    OMP_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TORCHINDUCTOR_CACHE_DIR=/data/cache/torchinductor \
    VOICESVC_ACCESS=keys \
    VOICESVC_DATA_DIR=/data \
    VOICESVC_HOST=0.0.0.0 \
    VOICESVC_MODELS_DIR=/models \
    VOICESVC_PORT=8080
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# Healthy once a voice is warmed; the first start imports and verifies the packs.
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['VOICESVC_PORT']}/readyz\", timeout=4)"]
ENTRYPOINT ["voicesvc"]
CMD ["serve"]
