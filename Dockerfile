# The images of the services in docker-compose.yml: `taskgrid`, and `taskgrid-python` for handlers in Python.
#
#   docker build --target taskgrid --tag taskgrid .
#
# Both base images can be named, for machines that have a mirror.
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# The manifests beside empty sources: a layer that changes only with the dependencies. They are copied out, and nothing is
# deleted: not every storage driver keeps a directory empty that was deleted and made again.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /source
COPY . .
RUN mkdir /manifests \
    && cp --parents --recursive Cargo.toml Cargo.lock */Cargo.toml .cargo /manifests \
    && for manifest in */Cargo.toml; do mkdir "/manifests/${manifest%Cargo.toml}src" && touch "/manifests/${manifest%Cargo.toml}src/lib.rs"; done

FROM ${RUST_IMAGE} AS builder
WORKDIR /source
COPY --from=manifests /manifests .
RUN cargo build --release --locked
COPY . .
# What `taskgrid --version` tells beside the version.
ARG TASKGRID_REVISION=
# Cargo goes by time stamps, and these sources are older than the empty ones that were built above. What traces are
# made of is half of the program; compressed it is a fifth.
RUN find . -name '*.rs' ! -path './target/*' -exec touch {} + \
    && TASKGRID_REVISION="${TASKGRID_REVISION}" cargo build --release --locked \
    && objcopy --compress-debug-sections=zlib target/release/taskgrid /taskgrid

FROM ${RUNTIME_IMAGE} AS taskgrid
# For looking into the table.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends sqlite3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
# The number is fixed so that a volume keeps its owner when the image is built anew.
RUN useradd --system --uid 10001 --home-dir /data taskgrid \
    && install -d -o taskgrid -g taskgrid /data
COPY --from=builder /taskgrid /usr/local/bin/taskgrid
ARG TASKGRID_REVISION=
LABEL org.opencontainers.image.title="TaskGrid+" \
      org.opencontainers.image.description="A durable task queue in one binary" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${TASKGRID_REVISION}"
USER taskgrid
WORKDIR /data
STOPSIGNAL SIGTERM
# Asks the dispatcher; docker-compose.yml names the right address for the other services.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["taskgrid", "ping"]
ENTRYPOINT ["taskgrid"]
CMD ["--help"]

FROM taskgrid AS taskgrid-python
USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
USER taskgrid
