# The image of every service in docker-compose.yml. Both base images can be named, for machines that have a mirror.
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# The manifests beside empty sources: a layer that changes only with the dependencies.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /source
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' -delete \
    && find . -type d -empty -delete \
    && for manifest in */Cargo.toml; do mkdir -p "${manifest%Cargo.toml}src" && touch "${manifest%Cargo.toml}src/lib.rs"; done

FROM ${RUST_IMAGE} AS builder
WORKDIR /source
COPY --from=manifests /source .
RUN cargo build --release --locked
COPY . .
# Cargo goes by time stamps, and these sources are older than the empty ones that were built above.
RUN find . -name '*.rs' ! -path './target/*' -exec touch {} + \
    && cargo build --release --locked

FROM ${RUNTIME_IMAGE}
# Handlers in worker_types/ may be Python; sqlite3 is for looking into the table.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 sqlite3 \
    && rm -rf /var/lib/apt/lists/*
# The number is fixed so that a volume keeps its owner when the image is built anew.
RUN useradd --system --uid 10001 --home-dir /data taskgrid \
    && install -d -o taskgrid -g taskgrid /data
COPY --from=builder /source/target/release/taskgrid /usr/local/bin/taskgrid
USER taskgrid
WORKDIR /data
# Asks the dispatcher; docker-compose.yml names the right address for the other services.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["taskgrid", "ping"]
ENTRYPOINT ["taskgrid"]
CMD ["--help"]
