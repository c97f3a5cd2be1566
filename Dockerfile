# One image for every Headrace process: `headrace worker` by default, any other command by its name.
#
#   docker build -t headrace .
#   docker run --rm headrace --help

# For amd64 and arm64: docs/kubernetes.md. Another Python, or another registry's copy of it: --build-arg PYTHON_IMAGE=…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# What changes seldom comes first, so that a change of code installs nothing again. Everything is held to the hashes of
# the lock files; the tools that build the wheel stay behind in this stage.
COPY requirements.lock requirements-dev.lock ./
RUN python -m venv /opt/headrace \
    && /opt/headrace/bin/pip install --require-hashes -r requirements.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements-dev.lock

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY topics topics
COPY streams streams
COPY ops ops
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/headrace/bin/pip install --no-index --no-deps /dist/*.whl


FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 headrace \
    && useradd --uid 10001 --gid headrace --home-dir /var/lib/headrace --create-home --shell /usr/sbin/nologin headrace
COPY --from=build /opt/headrace /opt/headrace
# Inside a container loopback is nobody's: the worker's server listens on all its addresses, which publishes nothing yet.
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HEADRACE_HTTP__LISTEN=0.0.0.0:9100
WORKDIR /var/lib/headrace
USER 10001:10001
EXPOSE 9100
# A worker that is alive. One that has its partitions answers /readyz. Other commands set a check of their own, or none.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9100/healthz', timeout=3)"]
ENTRYPOINT ["headrace"]
CMD ["worker"]
